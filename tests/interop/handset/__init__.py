"""A phone for what SIPp cannot do: TLS, transfers with Replaces, and times to the millisecond.

It speaks SIP from the RFC's words alone and shares no code with the proxy. Loopback loses nothing, so nothing is sent
twice. A thread reads; whoever calls a method waits until that thread has seen what it asked for.
"""

from tests.interop.handset.call import Call
from tests.interop.handset.message import HandsetError
from tests.interop.handset.phone import Handset

__all__ = ["Call", "Handset", "HandsetError"]
