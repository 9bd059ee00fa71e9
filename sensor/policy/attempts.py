"""What is true by the policy of requests that servers refuse: guessing, searching, a wrong password."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sensor.model import Subject
from sensor.policy.claims import claim, pair

if TYPE_CHECKING:
    from sensor.config.schema import Policy
    from sensor.findings import Claim
    from sensor.policy.segments import Required

CODE = "registration-attack"


class Tally(NamedTuple):
    """What one host asked of another within the policy's window."""

    refused: int  # requests …
    accounts: int  # … for so many accounts
    fresh: int  # of them, those that a challenge of their own came before
    left: int  # accounts that were asked for, and nobody went on when a password was asked
    unanswered: int  # extensions that were called and did not even ring
    slow: int  # refusals of one account within the longer window


def of_source(source: str, target: str, tally: Tally, required: Required, policy: Policy) -> list[Claim]:
    """Return the claim about a host that is refused again and again."""
    limits = policy.registration
    seconds = f"{limits.window:g} s"
    subject = pair("signalling", source, target)

    def found(evidence: str, *, is_device: bool = False) -> list[Claim]:
        return [claim(CODE, policy, subject, required, evidence, "medium" if is_device else "high")]

    if tally.accounts >= limits.accounts:
        return found(
            f"{source} searches for accounts at {target}: {tally.refused} refusals of {tally.accounts} accounts "
            f"within {seconds}"
        )
    if tally.left >= limits.accounts:
        return found(
            f"{source} searches for accounts at {target}: {tally.left} were asked for within {seconds} and left when a "
            "password was wanted"
        )
    if tally.unanswered >= limits.accounts:
        return found(
            f"{source} searches for extensions at {target}: {tally.unanswered} were called within {seconds}, none rang"
        )
    # Who guesses goes on with the challenge at hand; a device begins anew each time.
    is_device = tally.accounts == 1 and tally.fresh >= tally.refused * 4 // 5
    if tally.refused >= limits.failures and not is_device:
        return found(f"{source} guesses passwords at {target}: {tally.refused} refusals within {seconds}")
    if is_device and (tally.refused >= limits.failures or tally.slow >= limits.device_failures):
        return found(
            f"a device at {source} has a wrong password for {target}: {max(tally.slow, tally.refused)} refusals of one "
            f"account within {limits.device_window:g} s, each after a challenge of its own",
            is_device=True,
        )
    return []


def of_account(target: str, refused: int, sources: int, required: Required, policy: Policy) -> list[Claim]:
    """Return the claim about an account that many hosts are refused for, each seldom."""
    limits = policy.registration
    if refused < limits.shared_failures or sources < limits.shared_sources:
        return []
    evidence = (
        f"many hosts guess the password of one account at {target}: {refused} refusals of {sources} hosts within "
        f"{limits.shared_window:g} s"
    )
    return [claim(CODE, policy, Subject("host", target), required, evidence)]


def of_scanner(source: str, target: str, tool: str, required: Required, policy: Policy) -> list[Claim]:
    """Return the claim about a tool that gives its name."""
    evidence = f"{source} calls itself {tool}, a tool for finding and attacking SIP servers"
    return [claim(CODE, policy, pair("signalling", source, target), required, evidence)]
