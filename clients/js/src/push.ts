// A message that wants a reply.

import type { Channel } from "./channel";
import type { PushOptions } from "./types";

/** What became of a push. */
export type Result<Ok = any, Refused = any> =
  | { status: "ok"; response: Ok }
  | { status: "error"; response: Refused }
  /** No reply came in time. */
  | { status: "timeout"; response: {} }
  /** It was a join, and the channel was left or closed meanwhile. */
  | { status: "closed"; response: {} }
  /** By its signal, whose reason is the response. */
  | { status: "aborted"; response: any };

/** What `await` throws when a push isn't answered with "ok". */
export class PushError<Refused = any> extends Error {
  override readonly name = "PushError";

  constructor(
    readonly push: Push<any, Refused>,
    /** "error", "timeout", "closed", or a status of the server's own. */
    readonly status: string,
    readonly response: Refused,
  ) {
    const why = (response as { reason?: unknown } | undefined)?.reason;
    const { event, channel } = push;
    super(`${event} on ${channel.topic} failed: ${status}${why === undefined ? "" : ` (${String(why)})`}`);
  }
}

/**
 * A message on its way, and its reply: `push.receive("ok", callback)`, or `await push`, which gives the response of "ok" and
 * throws a `PushError` for anything else. Without an `await` (or `then`), nothing is thrown.
 */
export class Push<Ok = any, Refused = any> implements PromiseLike<Ok> {
  ref: string | null = null;
  sent = false;
  private _reply: Result<Ok, Refused> | undefined;
  private _replyEvent = "";
  private _timer: ReturnType<typeof setTimeout> | undefined;
  private _hooks: { status: string; callback: (response: any) => void }[] = [];
  private _result: Promise<Result<Ok, Refused>> | undefined;
  private _settle: ((result: Result<Ok, Refused>) => void) | undefined;

  /** @internal */
  constructor(
    readonly channel: Channel<any>,
    readonly event: string,
    readonly payload: () => unknown,
    public timeout: number,
  ) {}

  /** Calls back when the reply has this status; at once if it has come already. "timeout" is that none came in time. */
  receive<Status extends string>(
    status: Status,
    callback: (response: Status extends "ok" ? Ok : Status extends "error" ? Refused : any) => void,
  ): this {
    if (this._reply?.status === status) callback(this._reply.response as any);
    this._hooks.push({ status, callback });
    return this;
  }

  /** The reply, whatever its status. Never rejects. */
  result(): Promise<Result<Ok, Refused>> {
    return (this._result ??= new Promise((resolve) => {
      if (this._reply) resolve(this._reply);
      else this._settle = resolve;
    }));
  }

  then<A = Ok, B = never>(
    fulfilled?: ((response: Ok) => A | PromiseLike<A>) | null,
    rejected?: ((reason: any) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return this.result()
      .then(({ status, response }): Ok => {
        if (status === "ok") return response;
        throw status === "aborted" ? response : new PushError(this, status, response as Refused);
      })
      .then(fulfilled, rejected);
  }

  catch<B = never>(rejected?: ((reason: any) => B | PromiseLike<B>) | null): Promise<Ok | B> {
    return this.then(null, rejected);
  }

  finally(settled?: (() => void) | null): Promise<Ok> {
    return this.then().finally(settled);
  }

  /** @internal */
  send(): void {
    this._startTimeout();
    this.sent = true;
    const { channel, event, ref } = this;
    const { topic, socket } = channel;
    socket.push({ topic, event, payload: this.payload(), ref, join_ref: channel.joinRef() }, channel);
  }

  /** @internal */
  _resend(timeout: number): void {
    this.timeout = timeout;
    this.reset();
    this.send();
  }

  /** @internal Forgets the reply, and hears none that is still to come. */
  reset(): void {
    this._unlisten();
    this.ref = null;
    this._reply = undefined;
    this.sent = false;
  }

  /** @internal Waits for a reply from now on, under a new ref. */
  _startTimeout(): void {
    this._unlisten();
    this.ref = this.channel.socket.makeRef();
    this._replyEvent = `chan_reply_${this.ref}`;
    this.channel.on(this._replyEvent, (reply) => this._finish(reply ?? {}));
    this._timer = setTimeout(() => this.trigger("timeout", {}), this.timeout);
  }

  /** @internal As if the server had replied so. */
  trigger(status: string, response: unknown): void {
    this.channel.trigger(this._replyEvent, { status, response });
  }

  /** @internal */
  _abortBy({ signal }: PushOptions): void {
    if (!signal) return;
    const abort = () => this._finish({ status: "aborted", response: signal.reason });
    if (signal.aborted) return abort();
    signal.addEventListener("abort", abort);
    void this.result().then(() => signal.removeEventListener("abort", abort));
  }

  /** @internal Nothing comes any more: its channel is closed. */
  _close(): void {
    if (!this._reply) this._finish({ status: "closed", response: {} });
  }

  /** @internal */
  _finish(reply: Result<Ok, Refused>): void {
    this._unlisten();
    this._reply = reply;
    this._settle?.(reply);
    for (const { status, callback } of [...this._hooks]) {
      if (status === reply.status) callback(reply.response);
    }
  }

  private _unlisten(): void {
    clearTimeout(this._timer);
    if (this._replyEvent) this.channel.off(this._replyEvent);
  }
}
