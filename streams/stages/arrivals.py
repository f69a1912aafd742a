"""The stored state of an event in the ingest stage: its place, the agents that it was offered to, and the results."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

# The result of offering an event to an agent. With the first two there is a case.
Result = Literal["admitted", "waits", "refused", "full", "rejected"]
TAKEN = ("admitted", "waits")


class Offer(BaseModel):
    """An event was offered to a charter that listens to it: the place, the time and the result. `first_at` is when it
    was first offered to the agent, if that was earlier, so that the case has one time however often the event is
    offered.
    """

    version: str
    place: str
    at: datetime
    result: Result
    first_at: datetime | None = None

    @property
    def case_at(self) -> datetime:
        """When the event was first offered to the agent."""
        return self.first_at or self.at


class Arrival(BaseModel):
    """The state of an event: the last place at which it was offered, the time, and the last offer to each agent."""

    place: str
    at: datetime
    offers: dict[str, Offer] = Field(default_factory=dict)

    def is_redelivery(self, place: str) -> bool:
        """Whether the record at this place was handled before."""
        return place == self.place or any(offer.place == place for offer in self.offers.values())

    def offers_at(self, place: str) -> dict[str, Offer]:
        """The offers of the record at this place, by agent."""
        return {agent: offer for agent, offer in self.offers.items() if offer.place == place}

    def took(self) -> frozenset[str]:
        """The agents that have a case for the event."""
        return frozenset(agent for agent, offer in self.offers.items() if offer.result in TAKEN)
