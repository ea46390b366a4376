// The same for a program with `require`.
import client = require("@bennu/client");

const socket = new client.Socket("/socket", { longPollFallbackMs: 2_500 });
socket.channel("room:1").join().receive("ok", () => socket.isConnected());
// @ts-expect-error: it has no such method
socket.nothing();
