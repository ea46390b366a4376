"""phoenix-channels-python-client: V1 and V2, for hearing: it pushes nothing."""

import asyncio
import unittest

from phoenix_channels_python_client import PHXChannelsClient, PhoenixChannelsProtocolVersion
from phoenix_channels_python_client.exceptions import PHXTopicError
from server import WAIT_S_MAX, Server

TOPIC = "room:clients"


class PhoenixChannelsPythonClient(unittest.IsolatedAsyncioTestCase):
    def setUp(self):
        self.server = self.enterContext(Server())

    def client(self, version):
        return PHXChannelsClient(self.server.socket(), "a key", protocol_version=version)

    async def test_it_joins_hears_and_leaves(self):
        for version in PhoenixChannelsProtocolVersion:
            with self.subTest(version):
                async with asyncio.timeout(WAIT_S_MAX), self.client(version) as client:
                    heard = asyncio.Queue()
                    topic = f"lobby:{version.name}"
                    await client.subscribe_to_topic(topic, heard.put)
                    self.assertTrue(client.is_topic_joined(topic))
                    while str((message := await heard.get()).event) != "presence_state":
                        pass
                    self.assertIn("anonymous", message.payload)
                    await client.unsubscribe_from_topic(topic)
                    self.assertEqual(client.get_current_subscriptions(), {})

    async def test_it_hears_broadcasts_in_v1(self):
        # In V2 it drops them: it takes a message without a join ref, which a broadcast is, for one of an older join.
        version = PhoenixChannelsProtocolVersion.V1
        async with asyncio.timeout(WAIT_S_MAX), self.client(version) as client:
            heard = asyncio.Queue()
            await client.subscribe_to_topic(TOPIC, heard.put)
            said = {"text": "hé 🚀", "n": 1}
            await asyncio.to_thread(self.server.broadcast, TOPIC, "shout", said)
            message = await heard.get()
            self.assertEqual((str(message.event), message.payload), ("shout", said))

    async def test_it_is_told_why_it_may_not_join(self):
        for version in PhoenixChannelsProtocolVersion:
            with self.subTest(version):
                async with asyncio.timeout(WAIT_S_MAX), self.client(version) as client:
                    with self.assertRaisesRegex(PHXTopicError, "unauthorized"):
                        await client.subscribe_to_topic("room:private")


if __name__ == "__main__":
    unittest.main()
