// Starts one of the example servers on a port of its own and ends it as an operator would.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import path from "node:path";

import { within } from "./inbox.mjs";

const START_MS_MAX = 20_000;
const STOP_MS_MAX = 20_000;
const STDERR_CHARS_MAX = 8_000;
const STDOUT_LINES_MAX = 100;

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../../..");

/** The folder that `cargo build` leaves its programs in. */
const programs =
  process.env.BENNU_PROGRAMS ?? path.join(process.env.CARGO_TARGET_DIR ?? path.join(root, "target"), "debug");

/** A running server: `start` it, then `await server.stop()`. */
export class Server {
  #child;
  #exit;
  #stderr = "";
  /** What it has said by now on stdout, line by line. */
  lines = [];

  /** Where `cargo build` leaves this program. */
  static file(program) {
    return path.join(programs, program);
  }

  /**
   * Starts `program` and waits for its line `listening on ADDR:PORT`.
   * @param {string} program the name of one of the workspace's programs
   * @param {string[]} [args]
   * @param {number} [port] 0 lets the system choose
   */
  static async start(program, args = [], port = 0) {
    const server = new Server();
    const file = Server.file(program);
    assert.ok(existsSync(file), `${file} isn't there; build it with \`cargo build --workspace --bins --tests\``);
    const child = spawn(file, ["--port", String(port), ...args], { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
    server.#child = child;
    server.#exit = new Promise((resolve) => child.once("exit", (code, signal) => resolve({ code, signal })));
    child.stderr.setEncoding("utf8");
    child.stderr.on("data", (text) => {
      server.#stderr = (server.#stderr + text).slice(-STDERR_CHARS_MAX);
    });
    // A test run that dies must not leave the server behind.
    const kill = () => child.kill("SIGKILL");
    process.once("exit", kill);
    child.once("exit", () => process.off("exit", kill));

    const listening = new Promise((resolve, reject) => {
      child.once("error", reject);
      createInterface({ input: child.stdout }).on("line", (line) => {
        if (server.lines.length < STDOUT_LINES_MAX) server.lines.push(line);
        const found = /^listening on (.+):(\d+)$/.exec(line);
        if (found) resolve({ host: found[1], port: Number(found[2]) });
      });
      server.#exit.then((exit) => reject(new Error(`${program} ended at once: ${JSON.stringify(exit)}\n${server.stderr}`)));
    });
    try {
      Object.assign(server, await within(listening, START_MS_MAX, () => `${program} to listen\n${server.stderr}`));
    } catch (error) {
      kill();
      throw error;
    }
    return server;
  }

  /** The last of what it wrote to stderr. */
  get stderr() {
    return this.#stderr;
  }

  http(pathname) {
    return `http://${this.host}:${this.port}${pathname}`;
  }

  ws(pathname) {
    return `ws://${this.host}:${this.port}${pathname}`;
  }

  /** SIGTERM, and the exit code has to be 0. */
  async stop() {
    this.#child.kill("SIGTERM");
    try {
      const exit = await within(this.#exit, STOP_MS_MAX, () => `the server to end after SIGTERM\n${this.stderr}`);
      assert.deepEqual(exit, { code: 0, signal: null }, `the server's exit after SIGTERM\n${this.stderr}`);
    } finally {
      this.#child.kill("SIGKILL");
    }
  }

  /** Ends it without a goodbye, as a power cut would. */
  async kill() {
    this.#child.kill("SIGKILL");
    await within(this.#exit, STOP_MS_MAX, () => "the server to end after SIGKILL");
  }
}
