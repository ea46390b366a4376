// A WebSocket without any client above it: frames are written and read by hand.

import { WebSocket } from "ws";

import { Inbox, within } from "./inbox.mjs";

const OPEN_MS_MAX = 10_000;

/** A connection that is open; it ends with the test. Frames read are objects (text) or Buffers (binary). */
export class Raw {
  #frames = new Inbox("the frames read");
  #closed = new Inbox("the connection's end");
  #pongs = new Inbox("the pongs read");

  static async open(test, server, query = "?vsn=2.0.0", options = {}) {
    const raw = new Raw();
    const { protocols = [], ...rest } = options;
    raw.ws = new WebSocket(server.ws(`/socket/websocket${query}`), protocols, { perMessageDeflate: false, ...rest });
    test.after(() => raw.ws.terminate());
    raw.ws.on("message", (data, isBinary) => raw.#frames.put(isBinary ? data : JSON.parse(data.toString())));
    raw.ws.on("close", (code, reason) => raw.#closed.put({ code, reason: reason.toString() }));
    raw.ws.on("pong", (data) => raw.#pongs.put(data.toString()));
    const opened = new Promise((resolve, reject) => {
      raw.ws.once("open", resolve);
      raw.ws.once("error", reject);
    });
    await within(opened, OPEN_MS_MAX, () => "the WebSocket to open");
    // Errors after the opening show as a close; without a listener they would end the process.
    raw.ws.on("error", () => {});
    return raw;
  }

  /** Arrays and objects go out as JSON, Buffers as binary frames, strings as they are. */
  send(frame) {
    const plain = typeof frame === "string" || Buffer.isBuffer(frame);
    this.ws.send(plain ? frame : JSON.stringify(frame));
  }

  frame() {
    return this.#frames.take();
  }

  frames(count) {
    return Promise.all(Array.from({ length: count }, () => this.frame()));
  }

  /** Frames that came and weren't read. */
  get unread() {
    return this.#frames.items;
  }

  closed() {
    return this.#closed.take();
  }

  pong() {
    return this.#pongs.take();
  }
}

/** The HTTP status with which the server refuses to open a WebSocket. */
export function refusal(server, pathname, options = {}) {
  const { protocols = [], ...rest } = options;
  const ws = new WebSocket(server.ws(pathname), protocols, { perMessageDeflate: false, ...rest });
  const status = new Promise((resolve, reject) => {
    ws.once("unexpected-response", (request, response) => {
      request.destroy();
      resolve(response.statusCode);
    });
    ws.once("open", () => {
      ws.terminate();
      reject(new Error(`${pathname} opened`));
    });
  });
  ws.on("error", () => {});
  return within(status, OPEN_MS_MAX, () => `${pathname} to be refused`);
}
