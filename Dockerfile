# Two stages: the first builds the wheel and installs the locked dependencies, the second has neither pip's cache nor a compiler.
FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE requirements.lock ./
COPY rotator rotator
COPY policies policies
RUN python -m venv /opt/rotator \
 && /opt/rotator/bin/pip install --no-cache-dir -r requirements.lock \
 && /opt/rotator/bin/pip install --no-cache-dir --no-deps --no-build-isolation . \
 && /opt/rotator/bin/pip uninstall --yes pytest pytest-xdist hypothesis mypy ruff import-linter freezegun hatchling editables

FROM python:3.13-slim
COPY --from=build /opt/rotator /opt/rotator
# A fixed, unprivileged user; the state directory is the only place that it writes to.
RUN useradd --uid 10001 --create-home --home-dir /var/lib/rotator rotator
USER 10001
WORKDIR /var/lib/rotator
ENV PATH=/opt/rotator/bin:$PATH ROTATOR_CONFIG=/etc/rotator/rotator.yaml PYTHONUNBUFFERED=1
EXPOSE 8080
ENTRYPOINT ["rotator"]
CMD ["serve"]
