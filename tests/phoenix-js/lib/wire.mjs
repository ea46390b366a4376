// The network between one page and the server, for a test to cut.

import { createServer, connect } from "node:net";

/** Carries TCP connections from a port of its own to the server: `await Wire.to(server)`. */
export class Wire {
  #server;
  #to;
  #pairs = new Set();
  #cut = false;
  #deaf = false;

  static async to({ host, port }) {
    const wire = new Wire();
    wire.#to = { host, port };
    wire.#server = createServer((near) => wire.#carry(near));
    await new Promise((resolve) => wire.#server.listen(0, "127.0.0.1", resolve));
    wire.host = "127.0.0.1";
    wire.port = wire.#server.address().port;
    return wire;
  }

  http(pathname) {
    return `http://${this.host}:${this.port}${pathname}`;
  }

  /** All connections break, and no new one comes about. */
  cut() {
    this.#cut = true;
    for (const pair of this.#pairs) for (const end of pair) end.destroy();
  }

  /** What the page sends arrives, and no answer comes back. */
  deafen() {
    this.#deaf = true;
  }

  mend() {
    this.#cut = false;
    this.#deaf = false;
  }

  close() {
    this.cut();
    this.#server.close();
  }

  #carry(near) {
    if (this.#cut) return near.destroy();
    const far = connect(this.#to);
    const pair = [near, far];
    this.#pairs.add(pair);
    near.on("data", (bytes) => far.write(bytes));
    far.on("data", (bytes) => this.#deaf || near.write(bytes));
    for (const end of pair) {
      end.on("error", () => {});
      end.on("close", () => {
        this.#pairs.delete(pair);
        for (const other of pair) other.destroy();
      });
    }
  }
}
