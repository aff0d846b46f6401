"""A batch of bookings: a failed one is rolled back and noted, and everything is saved at once.

Prints:
    refused: Ben has only 2.00
    refused: there is no Dora
    Anna 8.00, Ben 7.00, Chloe 7.00
"""

from decimal import Decimal

from playground import new_file

from s3dictionary import S3Dict

PAYMENTS = [
    ("Anna", "Chloe", Decimal("7.00")),
    ("Ben", "Anna", Decimal("9.00")),
    ("Anna", "Dora", Decimal("1.00")),
    ("Anna", "Ben", Decimal("5.00")),
]


class Refused(Exception):
    """A payment that isn't possible."""


def pay(accounts: dict[str, Decimal], payer: str, payee: str, amount: Decimal) -> None:
    """Move money. The checks come late, so a failed payment is rolled back halfway."""
    accounts[payer] -= amount
    if accounts[payer] < 0:
        raise Refused(f"{payer} has only {accounts[payer] + amount}")
    if payee not in accounts:
        raise Refused(f"there is no {payee}")
    accounts[payee] += amount


def run(uri: str) -> None:
    with S3Dict.from_uri(uri) as bank:  # loads
        refused = bank.setdefault("refused", [])
        for payment in PAYMENTS:
            try:
                with bank.transaction():
                    pay(bank["accounts"], *payment)
            except Refused as error:
                refused.append((str(error), payment))  # rolled back was the payment only
    # saved: the accounts and what was refused, in one PUT


if __name__ == "__main__":
    with new_file() as uri:
        accounts = {"Anna": Decimal("20.00"), "Ben": Decimal("2.00"), "Chloe": Decimal("0.00")}
        S3Dict.from_uri(uri, data={"accounts": accounts}).save()
        run(uri)
        bank = S3Dict.from_uri(uri)
        for reason, _payment in bank["refused"]:
            print("refused:", reason)
        print(", ".join(f"{name} {balance}" for name, balance in bank["accounts"].items()))
