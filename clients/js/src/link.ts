// One connection: a transport with its heartbeats. A socket that reconnects makes another.

/** What a connection runs over: a `WebSocket`, or what looks like one. */
export interface Transport {
  readyState: number;
  bufferedAmount?: number;
  /** That the transport needs no heartbeats. */
  skipHeartbeat?: boolean;
  binaryType?: string;
  /** How long a request may take, in milliseconds. For transports of requests. */
  timeout?: number;
  onopen: ((event: any) => void) | null;
  onerror: ((error: any) => void) | null;
  onmessage: ((event: any) => void) | null;
  onclose: ((event: any) => void) | null;
  send(frame: any): void;
  close(code?: number, reason?: string): void;
}

/** The class of a transport: `WebSocket`, `LongPoll`, or one of your own. */
export type TransportClass = new (url: string, protocols?: string[]) => any;

/** What the socket that made a link is told, while that link is its present one. */
export interface LinkOwner {
  _link: Link | undefined;
  _opened(link: Link): void;
  _failed(link: Link, error: unknown): void;
  _received(link: Link, event: { data: any }): void;
  _closed(link: Link, event: any): void;
  /** A heartbeat wasn't answered. */
  _unanswered(link: Link): void;
  /** Sends a heartbeat and returns its ref. */
  _beat(): string;
}

export const CONNECTING = 0;
export const OPEN = 1;
export const CLOSED = 3;

const DRAIN_TRIES_MAX = 4;
const DRAIN_STEP_MS = 150;
const CLOSE_MS_MAX = 1_500;

/** A transport in use. What it says counts only while it's the socket's present one. */
export class Link {
  /** The socket has done with it, so the next `connect` makes another. */
  _ended = false;
  /** It was closed by us, so its end is no surprise. */
  _closing = false;
  /** The channels were told that it's lost. */
  _told = false;
  /** By the heartbeat's ref, what to call when it's answered. */
  readonly _pings = new Map<string, () => void>();
  private _beatTimer: ReturnType<typeof setTimeout> | undefined;
  private _beatRef: string | undefined;
  private _over = false;
  private readonly _waiters: (() => void)[] = [];

  constructor(
    private readonly _owner: LinkOwner,
    readonly _transport: Transport,
    private readonly _beatMs: number,
  ) {
    const current = (handle: (event: any) => void) => (event: any) => {
      if (this._isCurrent) handle(event);
    };
    _transport.onopen = current(() => _owner._opened(this));
    _transport.onerror = current((error) => _owner._failed(this, error));
    _transport.onmessage = current((event) => _owner._received(this, event));
    _transport.onclose = (event) => {
      if (this._over) return;
      this._over = true;
      this._stopHeartbeat();
      if (this._isCurrent) _owner._closed(this, event);
      for (const done of this._waiters) done();
    };
  }

  get _isCurrent(): boolean {
    return this._owner._link === this;
  }

  /** Whether the socket still means to keep it. */
  get _inUse(): boolean {
    return this._isCurrent && !this._ended;
  }

  get _isOpen(): boolean {
    return this._transport.readyState === OPEN;
  }

  get _isConnecting(): boolean {
    return this._transport.readyState === CONNECTING;
  }

  _close(code?: number, reason = ""): void {
    this._closing = true;
    // To be closed while it connects is an error to a WebSocket, but none to us.
    this._transport.onerror = () => {};
    if (code) this._transport.close(code, reason);
    else this._transport.close();
  }

  /** Sends heartbeats from now on, each a while after the answer to the last. */
  _startHeartbeat(): void {
    this._stopHeartbeat();
    if (this._transport.skipHeartbeat) return;
    this._beatTimer = setTimeout(() => {
      this._beatRef = this._owner._beat();
      this._beatTimer = setTimeout(() => this._owner._unanswered(this), this._beatMs);
    }, this._beatMs);
  }

  _stopHeartbeat(): void {
    clearTimeout(this._beatTimer);
    this._beatRef = undefined;
  }

  /** A message with this ref has come, which may be the answer to the heartbeat. */
  _answered(ref: string | null | undefined): void {
    if (ref && ref === this._beatRef) this._startHeartbeat();
  }

  /** And which may be the answer to a ping, when all others have heard of it. */
  _ponged(ref: string | null | undefined): void {
    const pong = ref && this._pings.get(ref);
    if (!pong) return;
    this._pings.delete(ref);
    pong();
  }

  /** Calls back when what was sent has left, or hasn't for a while. */
  _whenDrained(done: () => void, tries = 1): void {
    if (tries > DRAIN_TRIES_MAX || !this._transport.bufferedAmount || !this._isOpen) return done();
    setTimeout(() => this._whenDrained(done, tries + 1), DRAIN_STEP_MS * tries);
  }

  /** Calls back once the transport is closed, or doesn't come to its end. */
  _whenClosed(done: () => void): void {
    if (this._transport.readyState === CLOSED) return done();
    let once = () => {
      once = () => {};
      clearTimeout(timer);
      done();
    };
    const timer = setTimeout(() => once(), CLOSE_MS_MAX);
    this._waiters.push(() => once());
  }
}
