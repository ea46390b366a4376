// Long-polling: what looks like a WebSocket, over requests.

import { asBytes, fromBase64, toBase64 } from "./bytes";
import { CLOSED, CONNECTING, OPEN } from "./link";
import type { Close } from "./socket";
import { tokenOf, withParams } from "./url";

/** The answer to a request. */
interface Answer {
  status: number;
  token?: string;
  messages?: string[];
  reason?: string;
  /** Of a refusal: that it will be no other the next time. */
  final?: boolean;
  /** Of a session that the server has closed: what a WebSocket's close would have said. Phoenix never says it. */
  close?: { code: number; reason: string };
}

/** What one POST may carry. */
const BATCH_ENTRIES_MAX = 100;

/** A transport for where no WebSocket gets through. Bytes pass in both directions, if the server is Bennu. */
export class LongPoll {
  readyState = CONNECTING;
  readonly skipHeartbeat = true;
  /** How long a request may take, in milliseconds; for ever by default. */
  timeout = 0;
  onopen: (event: any) => void;
  onerror: (error: any) => void;
  onmessage: (event: any) => void;
  onclose: (event: any) => void;
  readonly pollEndpoint: string;
  token: string | null = null;
  private readonly _authToken: string | undefined;
  private _queue: string[] = [];
  private _posting = 0;
  private _over = false;
  private readonly _timers = new Set<ReturnType<typeof setTimeout>>();
  private readonly _requests = new Set<AbortController>();

  /** `endPoint` is a WebSocket's address. */
  constructor(endPoint: string, protocols?: string[]) {
    // Assigned, and not declared, for classes that extend this one and have accessors of these names.
    this.onopen = this.onerror = this.onmessage = this.onclose = () => {};
    this._authToken = tokenOf(protocols);
    this.pollEndpoint = endPoint.replace(/^ws/, "http").replace(/(.*)\/websocket/, "$1/longpoll");
    // When who made it has set its callbacks.
    this._soon(() => this._poll());
  }

  /** How many messages haven't arrived yet. */
  get bufferedAmount(): number {
    return this._queue.length + this._posting;
  }

  /** What is sent in one turn goes together. */
  send(frame: string | ArrayBuffer | ArrayBufferView): void {
    const bytes = asBytes(frame);
    this._queue.push(bytes ? toBase64(bytes) : (frame as string));
    if (this._queue.length === 1 && !this._posting) this._soon(() => this._post());
  }

  close(code?: number, reason?: string, wasClean = true): void {
    this.readyState = CLOSED;
    // It may be closed by who is told of its failure.
    if (this._over) return;
    this._over = true;
    for (const request of this._requests) request.abort();
    for (const timer of this._timers) clearTimeout(timer);
    this._requests.clear();
    this._timers.clear();
    this._queue = [];
    this._posting = 0;
    // 1005 is "no code": 1000 would look like the server's.
    const close: Close = { code: code ?? 1005, reason: reason ?? "", wasClean };
    this.onclose(globalThis.CloseEvent ? new CloseEvent("close", close) : close);
  }

  private _poll(): void {
    const headers: Record<string, string> = { accept: "application/json" };
    if (this._authToken) headers["x-phoenix-authtoken"] = this._authToken;
    this._request("GET", headers, undefined, (answer) => {
      const { status, token, messages, reason, close } = answer;
      const wasOpen = this.token !== null;
      if (status === 410 && wasOpen && !close) return this._fail(410, 3410, reason || "session_gone");
      if (status === 403) return this._fail(403, 1008, answer.final ? "forbidden retry=never" : "forbidden");
      if (![200, 204, 410].includes(status)) return this._fail(status || 500, 1011, reason || "internal server error");
      if (token) this.token = token;
      if (status === 410) this.readyState = OPEN;
      // Each in a turn of its own, as with a WebSocket: what awaits the one is done before the next.
      for (const message of Array.isArray(messages) ? messages : []) {
        this._soon(() => this.onmessage({ data: received(String(message)) }));
      }
      if (close && wasOpen) return this._soon(() => this.close(Number(close.code) || 1011, String(close.reason ?? "")));
      // First, so that it goes on whatever the callback throws.
      this._poll();
      if (status === 410) this.onopen({});
    });
  }

  private _post(): void {
    const batch = this._queue.splice(0, BATCH_ENTRIES_MAX);
    this._posting = batch.length;
    if (!batch.length) return;
    this._request("POST", { "content-type": "application/x-ndjson" }, batch.join("\n"), ({ status, reason, close }) => {
      // The poll brings the last messages, and the end.
      if (close) return;
      if (status !== 200) return this._fail(status, 1011, reason || "internal server error");
      this._post();
    });
  }

  private _fail(error: number | string, code: number, reason: string): void {
    this.readyState = CLOSED;
    this.onerror(error);
    this.close(code, reason, false);
  }

  private _request(
    method: string,
    headers: Record<string, string>,
    body: string | undefined,
    done: (answer: Answer) => void,
  ): void {
    const request = new AbortController();
    this._requests.add(request);
    // A request that isn't ours any more has no say.
    const finish = (then: () => void) => {
      clearTimeout(timer);
      this._timers.delete(timer);
      if (this._requests.delete(request)) then();
    };
    const late = () => finish(() => {
      request.abort();
      this._fail("timeout", 1005, "timeout");
    });
    const timer = this.timeout ? setTimeout(late, this.timeout) : (undefined as never);
    this._timers.add(timer);
    // The first request says that we can take bytes.
    const params = this.token === null ? { binary: "base64" } : { token: this.token };
    fetch(withParams(this.pollEndpoint, params), { method, headers, body: body ?? null, signal: request.signal })
      .then((response) => response.json())
      .then(
        (answer) => finish(() => done(answer ?? {})),
        () => finish(() => done({ status: 0 })),
      );
  }

  private _soon(then: () => void): void {
    const timer = setTimeout(() => {
      this._timers.delete(timer);
      then();
    });
    this._timers.add(timer);
  }
}

/** A text as it came, or the bytes that it has in Base64. Texts of both versions of the protocol begin with a bracket. */
function received(message: string): string | ArrayBuffer {
  if (!/^[[{]/.test(message)) {
    try {
      return fromBase64(message).buffer;
    } catch {
      // A server may send what it likes; the decoder says what it is.
    }
  }
  return message;
}
