"""An edit in a script: the next colleague is on call. It takes one GET and one PUT. If it fails, nothing changes.

Prints:
    Anna is on call
    Ben is on call
"""

from playground import new_file

from s3dictionary import S3Dict


def hand_over(uri: str) -> None:
    """Move the first name of the list to its end."""
    with S3Dict.from_uri(uri) as rota:
        people = rota["people"]
        people.append(people.pop(0))  # it is a plain list: the block finds the change at its end
        rota["handovers"] = rota.get("handovers", 0) + 1


def who(uri: str) -> str:
    """Read only. This writes nothing, so it needs only the permission to read."""
    with S3Dict.from_uri(uri) as rota:
        return rota["people"][0]


if __name__ == "__main__":
    with new_file() as uri:
        S3Dict.from_uri(uri, data={"people": ["Anna", "Ben", "Chloe"]}).save()
        print(who(uri), "is on call")
        hand_over(uri)
        print(who(uri), "is on call")
