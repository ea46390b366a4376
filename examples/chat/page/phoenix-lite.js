// A small client for Phoenix channels on plain WebSocket: the part of npm `phoenix` that the chat needs, under the
// same names. The chat serves it as phoenix.mjs where the official client isn't installed.

const HEARTBEAT_MS = 15_000;
const PUSH_TIMEOUT_MS = 10_000;
const backoff = (tries) => [100, 500, 1_000, 2_000][tries - 1] ?? 5_000;

/** One connection for any number of channels. It comes back by itself until `disconnect`. */
export class Socket {
  #url;
  #options;
  #ws;
  #ref = 0;
  #tries = 0;
  #retry;
  #heartbeat;
  #heartbeatRef;
  #listeners = { open: [], close: [], error: [] };
  channels = [];

  /**
   * @param {string} path such as "/socket"
   * @param {{params?: object | (() => object), reconnectAfterMs?: (tries: number) => number,
   *          rejoinAfterMs?: (tries: number) => number, heartbeatIntervalMs?: number, timeout?: number}} [options]
   */
  constructor(path, options = {}) {
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    this.#url = new URL(`${path}/websocket`, `${scheme}//${location.host}`);
    this.#options = { params: {}, reconnectAfterMs: backoff, rejoinAfterMs: backoff, heartbeatIntervalMs: HEARTBEAT_MS,
      timeout: PUSH_TIMEOUT_MS, ...options };
  }

  get timeout() {
    return this.#options.timeout;
  }

  onOpen(callback) {
    this.#listeners.open.push(callback);
  }

  onClose(callback) {
    this.#listeners.close.push(callback);
  }

  onError(callback) {
    this.#listeners.error.push(callback);
  }

  isConnected() {
    return this.#ws?.readyState === WebSocket.OPEN;
  }

  channel(topic, params = {}) {
    const channel = new Channel(this, topic, params, this.#options.rejoinAfterMs);
    this.channels.push(channel);
    return channel;
  }

  connect() {
    clearTimeout(this.#retry);
    if (this.#ws) return;
    const { params } = this.#options;
    const query = new URLSearchParams(typeof params === "function" ? params() : params);
    query.set("vsn", "2.0.0");
    this.#url.search = query;
    const ws = new WebSocket(this.#url);
    this.#ws = ws;
    // Every handler looks whether its connection is still the one in use.
    const current = (handle) => (event) => this.#ws === ws && handle(event);
    ws.onopen = current(() => this.#opened());
    ws.onmessage = current((event) => this.#received(event.data));
    ws.onerror = current((event) => this.#tell("error", event));
    ws.onclose = current((event) => this.#lost(event));
  }

  /** Ends the connection for good, or until the next `connect`. */
  disconnect(callback) {
    clearTimeout(this.#retry);
    const ws = this.#ws;
    this.#tries = 0;
    if (ws) {
      this.#forget();
      ws.close(1000);
    }
    callback?.();
  }

  /** @private */
  makeRef() {
    this.#ref += 1;
    return String(this.#ref);
  }

  /** @private */
  send(frame) {
    if (this.isConnected()) this.#ws.send(JSON.stringify(frame));
  }

  #opened() {
    this.#tries = 0;
    this.#heartbeatRef = undefined;
    this.#heartbeat = setInterval(() => this.#beat(), this.#options.heartbeatIntervalMs);
    this.#tell("open");
    for (const channel of [...this.channels]) channel.connected();
  }

  #received(text) {
    const [joinRef, ref, topic, event, payload] = JSON.parse(text);
    if (ref !== null && ref === this.#heartbeatRef) this.#heartbeatRef = undefined;
    for (const channel of [...this.channels]) {
      if (channel.topic === topic) channel.received(joinRef, ref, event, payload);
    }
  }

  /** A heartbeat without an answer by the time of the next one means that nobody is there. */
  #beat() {
    if (this.#heartbeatRef !== undefined) {
      const ws = this.#ws;
      this.#lost({ code: 1006, reason: "heartbeat timeout" });
      ws.close();
      return;
    }
    this.#heartbeatRef = this.makeRef();
    this.send([null, this.#heartbeatRef, "phoenix", "heartbeat", {}]);
  }

  #lost(event) {
    this.#forget();
    this.#tries += 1;
    this.#retry = setTimeout(() => this.connect(), this.#options.reconnectAfterMs(this.#tries));
    this.#tell("close", event);
  }

  #forget() {
    clearInterval(this.#heartbeat);
    this.#ws = undefined;
    for (const channel of this.channels) channel.disconnected();
  }

  #tell(what, event) {
    for (const callback of this.#listeners[what]) callback(event);
  }
}

/** One topic. It joins again after a crash or a lost connection, and keeps what is pushed meanwhile. */
class Channel {
  #socket;
  #params;
  #rejoinAfterMs;
  #rejoin;
  #tries = 0;
  #joinPush;
  #waiting = [];
  #bindings = [];
  #pushes = new Map();
  state = "closed";

  constructor(socket, topic, params, rejoinAfterMs) {
    this.#socket = socket;
    this.topic = topic;
    this.#params = params;
    this.#rejoinAfterMs = rejoinAfterMs;
  }

  join() {
    this.#joinPush = new Push("phx_join", this.#params, this.#socket.timeout);
    this.#joinPush.receive("ok", () => this.#joined());
    this.#joinPush.receive("error", () => this.#failed());
    this.#joinPush.receive("timeout", () => {
      this.#socket.send([this.#joinPush.ref, this.#socket.makeRef(), this.topic, "phx_leave", {}]);
      this.#failed();
    });
    this.state = "joining";
    this.connected();
    return this.#joinPush;
  }

  on(event, callback) {
    this.#bindings.push({ event, callback });
  }

  onClose(callback) {
    this.on("phx_close", callback);
  }

  onError(callback) {
    this.on("phx_error", callback);
  }

  push(event, payload, timeout = this.#socket.timeout) {
    const push = new Push(event, payload, timeout);
    push.start();
    if (this.state === "joined" && this.#socket.isConnected()) this.#send(push);
    else this.#waiting.push(push);
    return push;
  }

  leave() {
    clearTimeout(this.#rejoin);
    const push = new Push("phx_leave", {}, this.#socket.timeout);
    const sent = this.state === "joined" || this.state === "joining";
    if (sent) this.#socket.send([this.#joinPush.ref, this.#socket.makeRef(), this.topic, "phx_leave", {}]);
    this.#close();
    push.settle("ok", {});
    return push;
  }

  /** @private The connection is there: join, or join again. */
  connected() {
    clearTimeout(this.#rejoin);
    if (!this.#joinPush || this.state === "closed" || !this.#socket.isConnected()) return;
    this.state = "joining";
    this.#pushes.clear();
    this.#joinPush.start();
    this.#send(this.#joinPush, true);
  }

  /** @private What was sent and not answered never will be; its timeout tells the person. */
  disconnected() {
    clearTimeout(this.#rejoin);
    if (this.state !== "joined" && this.state !== "joining") return;
    this.state = "errored";
    this.#joinPush.stop();
    this.#tell("phx_error", { source: "transport", reason: "connection_closed" });
  }

  /** @private */
  received(joinRef, ref, event, payload) {
    if (joinRef !== null && joinRef !== this.#joinPush?.ref) return;
    if (event === "phx_reply") {
      const push = this.#pushes.get(ref);
      this.#pushes.delete(ref);
      push?.settle(payload.status, payload.response);
    } else if (event === "phx_close") {
      this.#close(payload);
    } else if (event === "phx_error") {
      this.#tell(event, payload);
      this.#failed();
    } else {
      this.#tell(event, payload);
    }
  }

  #joined() {
    this.state = "joined";
    this.#tries = 0;
    for (const push of this.#waiting.splice(0)) {
      if (!push.answer) this.#send(push);
    }
  }

  #failed() {
    if (this.state === "closed") return;
    this.state = "errored";
    this.#tries += 1;
    this.#rejoin = setTimeout(() => this.connected(), this.#rejoinAfterMs(this.#tries));
  }

  #close(payload) {
    this.state = "closed";
    this.#joinPush?.stop();
    this.#socket.channels = this.#socket.channels.filter((channel) => channel !== this);
    this.#tell("phx_close", payload);
  }

  #send(push, joins = false) {
    push.ref = this.#socket.makeRef();
    this.#pushes.set(push.ref, push);
    const joinRef = joins ? push.ref : this.#joinPush.ref;
    this.#socket.send([joinRef, push.ref, this.topic, push.event, push.payload]);
  }

  #tell(event, payload) {
    for (const binding of [...this.#bindings]) {
      if (binding.event === event) binding.callback(payload);
    }
  }
}

/** Something sent, and what becomes of it: "ok", "error" or "timeout". */
class Push {
  #hooks = [];
  #timer;

  constructor(event, payload, timeout) {
    this.event = event;
    this.payload = payload;
    this.timeout = timeout;
    this.ref = null;
    this.answer = undefined;
  }

  receive(status, callback) {
    this.#hooks.push({ status, callback });
    if (this.answer?.status === status) callback(this.answer.response);
    return this;
  }

  start() {
    this.stop();
    this.answer = undefined;
    this.#timer = setTimeout(() => this.settle("timeout", {}), this.timeout);
  }

  stop() {
    clearTimeout(this.#timer);
  }

  /** The first answer counts: one that comes after the timeout is late. */
  settle(status, response) {
    if (this.answer) return;
    this.stop();
    this.answer = { status, response };
    for (const hook of this.#hooks) {
      if (hook.status === status) hook.callback(response);
    }
  }
}
