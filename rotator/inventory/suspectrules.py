"""What a secret looks like: known formats, telling names, and the harmless things that resemble them. Pure.

The formats are those that the services themselves publish so that scanners can see them. Every function answers with the name
of a rule and never with any part of a value.
"""

import math
import re
from collections import Counter

# Formats that nothing else has: seen anywhere in a text, under any name.
# Azure's keys: learn.microsoft.com/purview "sensitive information types" (52 characters with +ACR, 84 with JQQJ99, storage
# keys with +ASt); GitHub, GitLab, Docker and AWS document their prefixes.
_FORMATS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("azure-key", re.compile(r"(?<![A-Za-z0-9])[A-Za-z0-9]{52}JQQJ99[A-Za-z0-9]{26}(?![A-Za-z0-9])")),
    ("azure-registry-password", re.compile(r"(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{42}\+ACR[A-Za-z0-9+/=]{6}(?![A-Za-z0-9+/=])")),
    ("azure-storage-key", re.compile(r"[A-Za-z0-9+/]{60,80}\+ASt[A-Za-z0-9+/]{4,8}==")),
    ("azure-client-secret", re.compile(r"(?<![A-Za-z0-9_~.-])[A-Za-z0-9_~.-]{3}\dQ~[A-Za-z0-9_~.-]{31,34}(?![A-Za-z0-9_~.-])")),
    ("github-token", re.compile(r"\b(gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{22,})")),
    ("gitlab-token", re.compile(r"\bgl(pat|dt|rt|cbt|ptt|ft|soat)-[A-Za-z0-9_.-]{20,}")),
    ("docker-token", re.compile(r"\bdckr_(pat|oat)_[A-Za-z0-9_-]{20,}")),
    ("aws-access-key-id", re.compile(r"\b(AKIA|ASIA)[A-Z0-9]{16}\b")),
    ("slack-token", re.compile(r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}")),
    ("private-key", re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY( BLOCK)?-----")),
    ("json-web-token", re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}")),
    ("shared-access-signature", re.compile(r"[?&]sig=[A-Za-z0-9%+/=_-]{20,}")),
)

# Repetitions are bounded: an unbounded one would let a long command hold the whole audit up for minutes.
_URL_PASSWORD = re.compile(r"\b[a-z][a-z0-9+.-]{0,20}://[^\s/@:?#]*:([^\s/@]+)@", re.IGNORECASE)
_URL_TOKEN = re.compile(r"\bhttps?://([^\s/@:?#]{20,})@", re.IGNORECASE)
_CONNECTION = re.compile(
    r"(?:^|[;\s\"'])(?:AccountKey|SharedAccessKey|SharedSecret|Password|Pwd|AccessKey)\s*=\s*\"?([^;\s\"']{4,})", re.IGNORECASE
)
# A connection string has at least two `key=value` parts; a lone `password=x` in a command is another rule's.
_PARTS = re.compile(r"(?:^|;)\s*[A-Za-z][A-Za-z ]*=[^;]+;|\bhost=\S+", re.IGNORECASE)

# Names that say what they hold. A value of any kind is believed: weak passwords have little entropy.
_TELLING = re.compile(
    r"(^|_)(PASSWORD|PASSWD|PASSPHRASE|PASSWRD|PASS|PWD|SECRET|SECRETS|APIKEY|API_KEY|ACCESS_KEY|PRIVATE_KEY|SECRET_KEY|"
    r"ACCOUNT_KEY|CLIENT_SECRET|ENCRYPTION_KEY|SIGNING_KEY|MASTER_KEY|STORAGE_KEY|ACCESS_TOKEN|AUTH_TOKEN|API_TOKEN|"
    r"BEARER_TOKEN|REFRESH_TOKEN|PAT)(_?\d+)?$"
)
# Names that often do and often do not: believed only for a value that looks random.
_DOUBTFUL = re.compile(
    r"(^|_)(TOKEN|KEY|AUTH|CREDENTIAL|CREDENTIALS|CREDS|SALT|SIGNATURE|CONNECTION_STRING|CONNSTR|DSN)(_?\d+)?$"
)

_HARMLESS_NAMES = frozenset(
    {
        "PWD",
        "OLDPWD",
        "APPINSIGHTS_INSTRUMENTATIONKEY",  # identifies, does not authenticate (learn.microsoft.com/azure/azure-monitor)
        "APPLICATIONINSIGHTS_CONNECTION_STRING",
    }
)
_PUBLIC_KEY = re.compile(
    r"(^|_)(PUBLIC|PUBLISHABLE|SITE|PARTITION|SORT|PRIMARY|FOREIGN|CACHE|ROUTING|HOST|IDEMPOTENCY)_?KEY(_?\d+)?$"
)

_HARMLESS_VALUE = re.compile(
    r"(|true|false|yes|no|on|off|none|null|nil|undefined|disabled|enabled|required|optional|prompt|n/?a|basic|bearer|oauth2?|"
    r"-?\d{1,5}(\.\d+)?(ms|s|m|h|d)?|[*x.•-]+|redacted|"
    r"<[^<>]*>|\[[^\[\]]*\]|\{\{.*\}\}|\$[({].*|`.*|\$[a-z_][a-z0-9_]*|%[a-z0-9_]+%|__[a-z0-9_]+__|#\{[^{}]*\}#?|id=.*|"
    r"@microsoft\.(keyvault|appconfiguration)\(.*\)|"
    r"https?://[^\s/@]+\.vault\.[a-z.]+/secrets/\S+|(vault|secretref|keyvault|op|ref|env|arn):\S+)",
    re.IGNORECASE,
)
_FILE_PATH = re.compile(
    r"(~|\.{1,2})?(/[\w.@-]+){2,}/?|[A-Za-z]:\\[\w\\ .-]+|[\w.-]+\.(pem|key|crt|cer|pfx|p12|json|ya?ml|txt|env)"
)
_GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_PLAIN_URL = re.compile(r"[a-z][a-z0-9+.-]*://\S+", re.IGNORECASE)

_FLAG = re.compile(
    r"--?(?!no-)(?:[a-z0-9]{1,20}[-_]){0,4}(?:password|passwd|passphrase|secret|api-?key|apikey|access-key|account-key|client-secret|token|pat)",
    re.IGNORECASE,
)
_ASSIGNMENT = re.compile(r"(?:^|[\s;&|\"'])(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)=(\"[^\"]*\"|'[^']*'|[^\s;&|\"']+)")
_FLAG_WITH_VALUE = re.compile(_FLAG.pattern + r"(?:=|\s+)(\"[^\"]*\"|'[^']*'|[^\s;&|\"']+)", re.IGNORECASE)
_HEADER = re.compile(r"\b(?:Bearer|Basic)\s+([A-Za-z0-9_\-.~+/]{16,}=*)")
_CURL_USER = re.compile(r"\s(?:-u|--user)[\s=]+[\"']?[^\s:\"']+:([^\s\"']+)")


_WRITTEN = re.compile(r"[a-z]+|[A-Z]+|[A-Z][a-z]+|\d+")


def known_format(text: str) -> str | None:
    """Name the published format of a secret that occurs in `text`, or None."""
    for rule, pattern in _FORMATS:
        if pattern.search(text):
            return rule
    for match in _URL_PASSWORD.finditer(text):
        if not harmless_value(match.group(1)):
            return "url-with-password"
    if any(looks_random(match.group(1)) for match in _URL_TOKEN.finditer(text)):
        return "url-with-token"
    if _PARTS.search(text):
        for match in _CONNECTION.finditer(text):
            if not harmless_value(match.group(1)):
                return "connection-string"
    return None


def secret_by_name(name: str, value: str) -> str | None:
    """Say whether a setting called `name` gives a secret away: the rule's name, or None.

    A telling name (`DB_PASSWORD`) suffices for a value that is not harmless; a doubtful one (`TOKEN`, `CACHE_KEY`) needs a
    value that looks random.
    """
    spoken = _spoken(name)
    if spoken in _HARMLESS_NAMES or _PUBLIC_KEY.search(spoken) or harmless_value(value):
        return None
    if _TELLING.search(spoken) and not _PLAIN_URL.fullmatch(value):
        return "secret-name"
    if _DOUBTFUL.search(spoken) and looks_random(value) and not _GUID.fullmatch(value):
        return "secret-name-and-random-value"
    return None


def secret_in_command(text: str) -> str | None:
    """Name the rule by which one command text (an argument, or a script handed to a shell) gives a secret away, or None."""
    found = known_format(text)
    if found:
        return found
    if any(not harmless_value(_unquoted(match.group(1))) for match in _FLAG_WITH_VALUE.finditer(text)):
        return "secret-option"
    if any(secret_by_name(match.group(1), _unquoted(match.group(2))) for match in _ASSIGNMENT.finditer(text)):
        return "secret-assignment"
    if any(looks_random(match.group(1)) for match in _HEADER.finditer(text)):
        return "authorization-header"
    if any(not harmless_value(match.group(1)) for match in _CURL_USER.finditer(f" {text}")):
        return "user-option"
    return None


def is_secret_option(argument: str) -> bool:
    """Say whether an argument is an option (`--password`) whose value is the next argument."""
    return _FLAG.fullmatch(argument) is not None


def harmless_value(value: str) -> bool:
    """Say whether a value is a switch, a number, a placeholder, a reference to a secret kept elsewhere, or a file's name."""
    stripped = value.strip()
    if _HARMLESS_VALUE.fullmatch(stripped):
        return True
    # Passwords in base64 may start with a slash; the segments of a path are words.
    return _FILE_PATH.fullmatch(stripped) is not None and not any(map(looks_random, re.split(r"[/\\]", stripped)))


def looks_random(value: str) -> bool:
    """Say whether a text of 16 characters or more looks drawn at random rather than written.

    The bound of 3.2 bits a character lies between English words and names (below 3) and the passwords that registries make
    (32 random characters have about 4.5). Words joined by separators are not random whatever their entropy.
    """
    if len(value) < 16 or any(character.isspace() for character in value):
        return False
    words = [word for word in re.split(r"[-_./:,@]", value) if word]
    if len(words) > 1 and all(_WRITTEN.fullmatch(word) for word in words):
        return False
    has_digit = any(character.isdigit() for character in value)
    has_both_cases = any(map(str.islower, value)) and any(map(str.isupper, value))
    return (has_digit or has_both_cases) and _entropy(value) >= 3.2


def _entropy(value: str) -> float:
    counts = Counter(value)
    return -sum(count / len(value) * math.log2(count / len(value)) for count in counts.values())


def _spoken(name: str) -> str:
    """Write `dbPassword`, `db-password` and `Db:Password` alike: `DB_PASSWORD`."""
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return re.sub(r"[^A-Za-z0-9]+", "_", parted).strip("_").upper()


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'" else text
