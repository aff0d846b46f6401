"""A Lambda function with a memory: each order is booked once, however often its event is delivered.

Prints:
    {'booked': True, 'orders': 1}
    {'booked': True, 'orders': 2}
    {'booked': False, 'orders': 2}
"""

import os
from datetime import datetime, timezone
from typing import Any

from s3dictionary import S3Dict

# The function's role gives the credentials; it may s3:GetObject, s3:PutObject and, to tell that there is no file yet,
# s3:ListBucket. Calls that reuse a warm environment share one client.


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """The function that Lambda calls, maybe several times at once. `run` repeats after another call's save."""
    return S3Dict.from_uri(os.environ["STATE"]).run(lambda state: book(state, event))


def book(state: S3Dict[str, Any], event: dict[str, Any]) -> dict[str, Any]:
    booked: dict[str, datetime] = state.setdefault("booked", {})
    if event["id"] in booked:  # nothing changes, so nothing is saved
        return {"booked": False, "orders": len(booked)}
    booked[event["id"]] = datetime.now(timezone.utc)  # comes back a datetime
    state["total"] = state.get("total", 0) + event["amount"]
    return {"booked": True, "orders": len(booked)}


if __name__ == "__main__":
    from playground import new_file

    with new_file() as uri:
        os.environ["STATE"] = uri
        for event in {"id": "a1", "amount": 30}, {"id": "a2", "amount": 12}, {"id": "a2", "amount": 12}:
            print(handler(event, None))
