"""chunnel: V1, and the oldest of them."""

import asyncio
import unittest

from chunnel.channel import ChannelJoinFailure
from chunnel.socket import Socket
from server import WAIT_S_MAX, Server


class Chunnel(unittest.IsolatedAsyncioTestCase):
    def setUp(self):
        self.server = self.enterContext(Server())

    async def test_it_joins_is_answered_broadcasts_and_leaves(self):
        async with asyncio.timeout(WAIT_S_MAX), Socket(self.server.socket(), {}) as socket:
            channel = socket.channel("room:clients", {})
            self.assertEqual(await channel.join(), {})
            said = {"text": "hé 🚀", "n": 1}
            pushed = await channel.push("ping", said)
            self.assertEqual(await pushed.response(), said)
            await channel.push("shout", said)
            message = await channel.receive()
            self.assertEqual((message.event, message.payload), ("shout", said))
            await channel.leave()

    async def test_it_is_told_that_it_may_not_join(self):
        async with asyncio.timeout(WAIT_S_MAX), Socket(self.server.socket(), {}) as socket:
            with self.assertRaises(ChannelJoinFailure):
                await socket.channel("room:private", {}).join()


if __name__ == "__main__":
    unittest.main()
