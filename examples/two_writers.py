"""Two processes count in one file at the same time. No update is lost, and nobody waits for a lock.

Prints:
    Anna: 10, Ben: 10, together: 20
    the second to save is told: s3://...
    with merge both are there: Anna 12, Ben 11
"""

from concurrent.futures import ProcessPoolExecutor

from playground import new_file

from s3dictionary import ConflictError, S3Dict

TIMES = 10


def count(uri: str, name: str) -> None:
    """Increment repeatedly. `run` repeats when the other process was faster."""

    def once(hits: S3Dict[str, int]) -> None:
        for key in (name, "together"):
            hits[key] = hits.get(key, 0) + 1

    hits = S3Dict.from_uri(uri)
    for _ in range(TIMES):
        hits.run(once, attempts=100)


def meet(uri: str, on_conflict: str) -> S3Dict[str, int]:
    """Both load the same version, change different things, and save."""
    anna, ben = (S3Dict.from_uri(uri, on_conflict=on_conflict) for _ in range(2))
    anna["Anna"] += 1
    ben["Ben"] += 1
    anna.save()
    ben.save()
    return ben


if __name__ == "__main__":
    with new_file() as uri:
        with ProcessPoolExecutor(2) as pool:
            list(pool.map(count, [uri, uri], ["Anna", "Ben"]))
        hits = S3Dict.from_uri(uri)
        print(f"Anna: {hits['Anna']}, Ben: {hits['Ben']}, together: {hits['together']}")
        try:
            meet(uri, "raise")
        except ConflictError as error:
            print("the second to save is told:", error)
        merged = meet(uri, "merge")
        print(f"with merge both are there: Anna {merged['Anna']}, Ben {merged['Ben']}")
