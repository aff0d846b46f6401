"""Autosave: each update is in S3 when the statement is done. Nested edits need a transaction.

Prints:
    two updates, two saves: {'milk': {'pieces': 1}, 'bread': {'pieces': 1}}
    a nested edit, not seen yet: {'milk': {'pieces': 1}, 'bread': {'pieces': 1}}
    a transaction, saved at its end: {'milk': {'pieces': 2}, 'bread': {'pieces': 3}}
    many keys at once, one save: {'milk': {'pieces': 2}, 'eggs': {'pieces': 12}, 'tea': {'pieces': 1}}
"""

from playground import new_file

from s3dictionary import S3Dict


def main(uri: str) -> None:
    def show(what: str) -> None:
        print(f"{what}: {S3Dict.from_uri(uri)}")  # what anyone else would load now

    shopping = S3Dict.from_uri(uri, autosave=True)
    shopping["milk"] = {"pieces": 1}
    shopping["bread"] = {"pieces": 1}
    show("two updates, two saves")

    shopping["milk"]["pieces"] = 2  # a plain dict: nobody is told. It is saved with the next update
    show("a nested edit, not seen yet")

    with shopping.transaction():
        shopping["bread"]["pieces"] += 2
    show("a transaction, saved at its end")

    with shopping.transaction():
        del shopping["bread"]
        shopping.update(eggs={"pieces": 12}, tea={"pieces": 1})
    show("many keys at once, one save")


if __name__ == "__main__":
    with new_file() as uri:
        main(uri)
