"""Keeps the data of a python-telegram-bot bot on S3. Needs `python-telegram-bot`. This example contacts no server.

Prints:
    Anna is asked for her name, and tells it: waiting -> None
    after a restart: Anna, message 3
    stored: bot_data, chat_data, conversations, user_data
"""

import asyncio
import json
from typing import Any

from playground import new_file
from telegram import Update
from telegram.ext import Application, BasePersistence, ContextTypes, ConversationHandler, MessageHandler, filters
from telegram.request import BaseRequest

from s3dictionary import AsyncS3Dict

Data = dict[Any, Any]


class S3Persistence(BasePersistence[Data, Data, Data]):
    """Keeps the data of users, chats and the bot, callback data and conversations in one file."""

    def __init__(self, uri: str, **options: Any) -> None:
        super().__init__(**options)
        self.state: AsyncS3Dict[str, Any] = AsyncS3Dict.from_uri(uri)

    async def _section(self, name: str, default: Any) -> Any:
        return (await self.state.load()).get(name, default)

    async def _put(self, section: str, key: Any, value: Any) -> None:
        await self.state.run(lambda state: state.setdefault(section, {}).__setitem__(key, value))

    async def _drop(self, section: str, key: Any) -> None:
        await self.state.run(lambda state: state.get(section, {}).pop(key, None))

    async def _replace(self, section: str, value: Any) -> None:
        await self.state.run(lambda state: state.__setitem__(section, value))

    async def get_user_data(self) -> dict[int, Data]:
        return await self._section("user_data", {})

    async def update_user_data(self, user_id: int, data: Data) -> None:
        await self._put("user_data", user_id, data)

    async def drop_user_data(self, user_id: int) -> None:
        await self._drop("user_data", user_id)

    async def get_chat_data(self) -> dict[int, Data]:
        return await self._section("chat_data", {})

    async def update_chat_data(self, chat_id: int, data: Data) -> None:
        await self._put("chat_data", chat_id, data)

    async def drop_chat_data(self, chat_id: int) -> None:
        await self._drop("chat_data", chat_id)

    async def get_bot_data(self) -> Data:
        return await self._section("bot_data", {})

    async def update_bot_data(self, data: Data) -> None:
        await self._replace("bot_data", data)

    async def get_callback_data(self) -> Any:
        return await self._section("callback_data", None)

    async def update_callback_data(self, data: Any) -> None:
        await self._replace("callback_data", data)

    async def get_conversations(self, name: str) -> dict[tuple[int | str, ...], Any]:
        return (await self._section("conversations", {})).get(name, {})

    async def update_conversation(self, name: str, key: tuple[int | str, ...], new_state: object | None) -> None:
        def update(state: AsyncS3Dict[str, Any]) -> None:
            conversations = state.setdefault("conversations", {}).setdefault(name, {})
            conversations[key] = new_state
            if new_state is None:
                del conversations[key]

        await self.state.run(update)

    # Each update is saved at once, and nobody else changes this bot's data: there is nothing to fetch or to flush

    async def refresh_user_data(self, user_id: int, user_data: Data) -> None: ...
    async def refresh_chat_data(self, chat_id: int, chat_data: Data) -> None: ...
    async def refresh_bot_data(self, bot_data: Data) -> None: ...
    async def flush(self) -> None: ...


class Offline(BaseRequest):
    """Replaces Telegram's servers."""

    read_timeout = None

    async def initialize(self) -> None: ...
    async def shutdown(self) -> None: ...

    async def do_request(self, url: str, *_: Any, **__: Any) -> tuple[int, bytes]:
        return 200, json.dumps({"ok": True, "result": {"id": 1, "is_bot": True, "first_name": "Bot"}}).encode()


def note(context: ContextTypes.DEFAULT_TYPE) -> None:
    context.bot_data["messages"] = context.bot_data.get("messages", 0) + 1


async def ask(update: Update, context: ContextTypes.DEFAULT_TYPE) -> str:
    note(context)
    return "waiting"


async def listen(update: Update, context: ContextTypes.DEFAULT_TYPE) -> int:
    context.user_data["name"] = update.message.text
    note(context)
    return ConversationHandler.END


def bot(uri: str) -> Application:
    builder = Application.builder().token("1:token").request(Offline()).get_updates_request(Offline())
    application = builder.persistence(S3Persistence(uri)).build()
    begin, waiting = [MessageHandler(filters.TEXT, ask)], [MessageHandler(filters.TEXT, listen)]
    talk = ConversationHandler(begin, {"waiting": waiting}, [], name="name", persistent=True)
    application.add_handler(talk)
    return application


async def say(application: Application, text: str) -> None:
    user = {"id": 7, "is_bot": False, "first_name": "Anna"}
    message = {"message_id": 1, "date": 0, "chat": {"id": 7, "type": "private"}, "from": user, "text": text}
    await application.process_update(Update.de_json({"update_id": 1, "message": message}, application.bot))
    await application.update_persistence()


async def main(uri: str) -> None:
    async with bot(uri) as application:
        await say(application, "Hello")
        waiting = (await application.persistence.get_conversations("name")).get((7, 7))
        await say(application, "Anna")
        print("Anna is asked for her name, and tells it:", waiting, "->", end=" ")
        print((await application.persistence.get_conversations("name")).get((7, 7)))
    async with bot(uri) as application:
        await say(application, "Hello")
        print(f"after a restart: {application.user_data[7]['name']}, message {application.bot_data['messages']}")
    print("stored:", ", ".join(sorted(await AsyncS3Dict.from_uri(uri).load())))


if __name__ == "__main__":
    with new_file() as uri:
        asyncio.run(main(uri))
