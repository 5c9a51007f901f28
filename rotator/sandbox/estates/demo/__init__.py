"""The demonstration: two subscriptions, some thirty groups, and every kind of credential, good and bad.

About a third of what can be rotated is healthy, the rest is due or has to be held. The comment behind a group says what a
good audit finds there.
"""

from rotator.sandbox.estates.demo import datateam, paymentsteam, platformteam, toolsteam
from rotator.sandbox.estates.demo.contoso import Contoso
from rotator.sandbox.estates.ground import Estate
from rotator.sandbox.world import World


def seed(world: World) -> Estate:
    """Plant the demonstration estate."""
    contoso = Contoso(world)
    for team in (platformteam, paymentsteam, datateam, toolsteam):
        team.plant(contoso)
    return contoso.build.finish(contoso.home, (contoso.first, contoso.second), contoso.workspace)
