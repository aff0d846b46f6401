"""Without a block, it is a dict in memory that you load and save when you want.

Prints:
    {'theme': 'dark', 'language': 'eo', 'zoom': {1: 0.5, 2: 1.25}}
    unsaved changes: True
    unsaved changes: False
    in S3: {'theme': 'dark', 'language': 'eo', 'zoom': {1: 0.5, 2: 1.25}}
    loaded again: dark
"""

from playground import new_file

from s3dictionary import S3Dict

DEFAULTS = {"theme": "light", "language": "en", "volume": 5}


def main(uri: str) -> None:
    settings = S3Dict.from_uri(uri, default=DEFAULTS)  # there is no file yet
    settings["theme"] = "dark"
    settings |= {"language": "eo", "zoom": {1: 0.5}}  # int keys stay ints
    settings["zoom"][2] = 1.25
    del settings["volume"]
    print(settings)

    print("unsaved changes:", settings.changed)
    settings.save()
    print("unsaved changes:", settings.changed)
    print("in S3:", S3Dict.from_uri(uri))

    settings["theme"] = "pink"
    settings.load()  # what isn't saved goes
    print("loaded again:", settings["theme"])


if __name__ == "__main__":
    with new_file() as uri:
        main(uri)
