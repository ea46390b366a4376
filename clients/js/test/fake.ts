// A network that does what the test says, and notes what the client does.

/** What a client did and was told, in order. */
export class Net {
  readonly log: string[] = [];
  readonly transports: FakeTransport[] = [];
  /** Whether new connections open by themselves. */
  opens = true;
  /** Answers frames that want an answer: by default every join, leave and heartbeat is ok. */
  answer: (frame: Frame) => { status: string; response: unknown } | undefined = ([, , , event]) =>
    /^(phx_join|phx_leave|heartbeat)$/.test(event) ? { status: "ok", response: {} } : undefined;

  /** The class to give to a socket. */
  readonly Transport: new (url: string, protocols?: string[]) => FakeTransport;

  constructor() {
    const net = this;
    this.Transport = class Fake extends FakeTransport {
      constructor(url: string, protocols?: string[]) {
        super(net, url, protocols);
      }
    };
  }

  /** The newest connection. */
  get now(): FakeTransport {
    const last = this.transports.at(-1);
    if (!last) throw new Error("nothing has connected");
    return last;
  }

  /** Notes it, and empties the notes when asked what there was. */
  note(...parts: unknown[]): void {
    this.log.push(parts.map((part) => (typeof part === "string" ? part : JSON.stringify(part))).join(" "));
  }

  take(): string[] {
    return this.log.splice(0);
  }
}

export type Frame = [joinRef: string | null, ref: string | null, topic: string, event: string, payload: any];

/** A WebSocket whose other end is the test. */
export class FakeTransport {
  readyState = 0;
  bufferedAmount = 0;
  binaryType = "blob";
  timeout = 0;
  onopen: (event: any) => void = () => {};
  onerror: (error: any) => void = () => {};
  onmessage: (event: any) => void = () => {};
  onclose: (event: any) => void = () => {};
  /** Whether a close is answered. */
  closes = true;

  constructor(
    private readonly net: Net,
    readonly url: string,
    readonly protocols?: string[],
  ) {
    net.transports.push(this);
    net.note("connects", url);
    if (net.opens) setTimeout(() => this.open());
  }

  send(frame: string | ArrayBuffer): void {
    if (typeof frame !== "string") return this.net.note("sends bytes", [...new Uint8Array(frame)]);
    const parsed: Frame = JSON.parse(frame);
    this.net.note("sends", frame);
    const reply = this.net.answer(parsed);
    const [joinRef, ref, topic] = parsed;
    if (reply) setTimeout(() => this.receive([joinRef, ref, topic, "phx_reply", reply]));
  }

  close(code?: number, reason?: string): void {
    if (this.readyState >= 2) return;
    this.net.note("closes", code ?? "-", reason ?? "-");
    const connecting = this.readyState === 0;
    this.readyState = 2;
    // As a WebSocket does that never was open.
    if (connecting) setTimeout(() => this.fail());
    else if (this.closes) setTimeout(() => this.end(code ?? 1005, reason ?? ""));
  }

  // What the other end does.

  open(): void {
    if (this.readyState !== 0) return;
    this.readyState = 1;
    this.onopen({});
  }

  receive(frame: Frame | string | ArrayBuffer): void {
    if (this.readyState !== 1) return;
    this.onmessage({ data: Array.isArray(frame) ? JSON.stringify(frame) : frame });
  }

  fail(): void {
    this.readyState = 3;
    this.onerror({ type: "error" });
    this.onclose({ code: 1006, reason: "", wasClean: false });
  }

  end(code: number, reason = ""): void {
    if (this.readyState === 3) return;
    this.readyState = 3;
    this.onclose({ code, reason, wasClean: true });
  }
}
