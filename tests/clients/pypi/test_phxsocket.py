"""phxsocket: V1, with a thread for the connection."""

import queue
import unittest

import phxsocket
from phxsocket.channel import ChannelConnectError
from server import WAIT_S_MAX, Server


class Phxsocket(unittest.TestCase):
    def setUp(self):
        self.server = self.enterContext(Server())
        self.socket = phxsocket.Client(self.server.socket(), {"user_id": "ada"})
        self.socket.connect()
        self.addCleanup(self.socket.close)

    def test_it_joins_is_answered_and_broadcasts(self):
        channel = self.socket.channel("room:clients", {})
        self.assertEqual(channel.join(), {})
        said = {"text": "hé 🚀", "n": 1}
        answers = queue.Queue()
        channel.push("ping", said, answers.put)
        answer = answers.get(timeout=WAIT_S_MAX)
        self.assertEqual(answer, {"status": "ok", "response": said})
        channel.push("fail", {"why": "no"}, answers.put)
        answer = answers.get(timeout=WAIT_S_MAX)
        self.assertEqual(answer, {"status": "error", "response": {"why": "no"}})
        heard = queue.Queue()
        channel.on("shout", heard.put)
        channel.push("shout", said)
        self.assertEqual(heard.get(timeout=WAIT_S_MAX), said)

    def test_it_leaves(self):
        channel = self.socket.channel("room:clients", {})
        channel.join()
        closed = queue.Queue()
        channel.on_close = lambda: closed.put("closed")
        # The method looks for its answer where there is none, and says so; the server has heard it.
        channel.leave()
        self.assertEqual(closed.get(timeout=WAIT_S_MAX), "closed")

    def test_it_is_told_why_it_may_not_join(self):
        with self.assertRaisesRegex(ChannelConnectError, "unauthorized"):
            self.socket.channel("room:private", {}).join()


if __name__ == "__main__":
    unittest.main()
