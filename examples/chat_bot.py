"""A chat bot on asyncio that counts and remembers. Many people talk to it at the same time.

Prints:
    Anna: Hello! I don't know you yet. What is your favourite colour?
    Anna: I'll remember that it is green.
    after a restart: Anna: Hello again! You like green. You have written 3 messages.
    400 messages of 100 people were counted
    with less than one save for ten messages: True
"""

import asyncio

from playground import new_file

from s3dictionary import AsyncS3Dict


class Bot:
    """Answers messages. The dict has what it knows about people."""

    def __init__(self, uri: str) -> None:
        self.people: AsyncS3Dict[str, dict] = AsyncS3Dict.from_uri(uri)
        self.versions: set[str | None] = set()

    async def answer(self, name: str, text: str) -> str:
        """Answer one person. Answers to several people at the same time are saved together."""
        answer = await self.people.run(self.note, name, text)
        self.versions.add(self.people.etag)
        return f"{name}: {answer}"

    @staticmethod
    def note(people: AsyncS3Dict[str, dict], name: str, text: str) -> str:
        person = people.setdefault(name, {"messages": 0})
        person["messages"] += 1
        if text.startswith("I like "):
            person["colour"] = text.removeprefix("I like ")
            return f"I'll remember that it is {person['colour']}."
        if "colour" in person:
            return f"Hello again! You like {person['colour']}. You have written {person['messages']} messages."
        return "Hello! I don't know you yet. What is your favourite colour?"


async def main(uri: str) -> None:
    bot = Bot(uri)
    print(await bot.answer("Anna", "Hello"))
    print(await bot.answer("Anna", "I like green"))
    bot = Bot(uri)
    print("after a restart:", await bot.answer("Anna", "Hello"))

    async def talk(name: str) -> None:
        for text in ("Hello", "I like blue", "How are you?", "Goodbye"):
            await bot.answer(name, text)

    bot.versions.clear()
    await asyncio.gather(*(talk(f"person {number}") for number in range(100)))
    counted = sum(person["messages"] for name, person in bot.people.items() if name != "Anna")
    print(counted, "messages of 100 people were counted")
    print("with less than one save for ten messages:", len(bot.versions) < counted / 10)


if __name__ == "__main__":
    with new_file() as uri:
        asyncio.run(main(uri))
