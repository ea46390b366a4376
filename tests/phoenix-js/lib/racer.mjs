// A player of the tapping race without a page.

import WebSocket from "ws";

import { within } from "./inbox.mjs";

const WAIT_MS_MAX = 30_000;
const SEND_EVERY_MS = 50;

/** Enters under a name, and taps when told to. */
export class Bot {
  #socket;
  #ref = 0;
  #answers = new Map();
  #taps = 0;

  static async enter(t, server, name) {
    const bot = new Bot();
    bot.#socket = new WebSocket(server.ws("/tap-racer/socket/websocket?vsn=2.0.0"));
    t.after(() => bot.#socket.terminate());
    bot.#socket.on("message", (text) => {
      const [, ref, , event, payload] = JSON.parse(text);
      if (event === "phx_reply") bot.#answers.get(ref)?.(payload);
    });
    await new Promise((resolve, reject) => bot.#socket.on("open", resolve).on("error", reject));
    await bot.#ask("phx_join", { name });
    return bot;
  }

  /** Taps until the server has counted so many. */
  async tapUpTo(taps) {
    while (this.#taps < taps) {
      const answer = await this.#ask("tap", { taps: Math.min(2, taps - this.#taps) });
      this.#taps = answer.taps;
      await new Promise((resolve) => setTimeout(resolve, SEND_EVERY_MS));
    }
  }

  async #ask(event, payload) {
    this.#ref += 1;
    const ref = String(this.#ref);
    const answered = new Promise((resolve) => this.#answers.set(ref, resolve));
    this.#socket.send(JSON.stringify(["1", ref, "play", event, payload]));
    const { status, response } = await within(answered, WAIT_MS_MAX, () => `an answer to ${event}`);
    this.#answers.delete(ref);
    if (status !== "ok") throw new Error(`${event}: ${JSON.stringify(response)}`);
    return response;
  }
}
