"""The name that `GROUP_INSTANCE_ID=auto` takes: a worker's own, where its platform keeps it."""

import re
from collections.abc import Mapping

#: Settings' value that asks for the platform's name.
AUTO = "auto"

#: A pod of a StatefulSet: its name ends with an ordinal. A Deployment's ends with five random
#: characters, which may all be digits.
_POD = re.compile(r"[a-z0-9.-]+-(0|[1-9]\d{0,3})")


def platform_name(variables: Mapping[str, str]) -> str | None:
    """The name that this worker keeps over restarts and shares with no other; None if it has none.

    Args:
        variables: the environment.
    """
    if "KUBERNETES_SERVICE_HOST" in variables:
        pod = variables.get("HOSTNAME", "")
        return pod if _POD.fullmatch(pod) else None
    return variables.get("DYNO") or None
