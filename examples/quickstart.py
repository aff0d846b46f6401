"""Edit a dict that lives on S3: blocks that save once, an inner one that rolls back, and two writers that meet.

Runs on a local S3 server, or in the bucket that S3DICT_BUCKET names: see playground.py.

Prints:
    1. A block: three orders, of which one can't be filled
       in memory: {'stock': {'apple': 6, 'pear': 2}, 'orders': [...], 'refused': ['5 x pear']}
       saved at the end of the block, as s3://...
    2. Another run of the program
       found:     {'stock': {'apple': 6, 'pear': 2}, 'orders': [...], 'refused': ['5 x pear']}
    3. Two writers at once
       Ben is told: s3://...
       both are there: Anna and Ben
"""

from playground import new_file

from s3dictionary import ConflictError, S3Dict


class OutOfStock(Exception):
    """There isn't enough in stock."""


def order(shop: S3Dict, item: str, pieces: int) -> None:
    """Move pieces from the stock to the orders."""
    shop["orders"].append({"item": item, "pieces": pieces})
    shop["stock"][item] -= pieces
    if shop["stock"][item] < 0:  # found out late, with both halves changed
        raise OutOfStock(f"{pieces} x {item}")


def first_run(uri: str) -> None:
    """Fill the shop, take some orders, save once."""
    with S3Dict.from_uri(uri) as shop:
        shop["stock"] = {"apple": 10, "pear": 2}
        shop["orders"] = []
        refused = shop["refused"] = []
        for item, pieces in [("apple", 3), ("pear", 5), ("apple", 1)]:
            try:
                with shop.transaction():
                    order(shop, item, pieces)
            except OutOfStock as error:
                refused.append(str(error))  # that order was rolled back, the others stay
        print("   in memory:", shop)
    print("   saved at the end of the block, as", shop.uri)


def second_run(uri: str) -> None:
    """Find what the first run left."""
    with S3Dict.from_uri(uri) as shop:
        print("   found:    ", shop)
        shop["stock"]["pear"] += 10


def two_writers(uri: str) -> None:
    """Two writers load the same version, and both change it. The second one gets an error, and nothing is lost."""
    anna, ben = S3Dict.from_uri(uri), S3Dict.from_uri(uri)
    anna["opened_by"] = "Anna"
    anna.save()
    ben["closed_by"] = "Ben"
    try:
        ben.save()
    except ConflictError as error:
        print("   Ben is told:", error)
        ben.load()  # drops Ben's change, and takes Anna's
    with ben:
        ben["closed_by"] = "Ben"
    print("   both are there:", ben["opened_by"], "and", ben["closed_by"])


def main(uri: str) -> None:
    """Run all parts."""
    print("1. A block: three orders, of which one can't be filled")
    first_run(uri)
    print("2. Another run of the program")
    second_run(uri)
    print("3. Two writers at once")
    two_writers(uri)


if __name__ == "__main__":
    with new_file() as uri:
        main(uri)
