// Puts the chat's state on the page. All text goes in as text: nothing that people write becomes markup.

const $ = (id) => document.getElementById(id);

/** How near the end still counts as reading the newest. */
const NEAR_END_PX = 80;
/** Messages of one person within this time stand together. */
const TOGETHER_MS = 5 * 60_000;

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const fullDate = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "short" });

/** An element with properties and children; strings become text. */
function element(tag, properties = {}, ...children) {
  const { dataset, ...plain } = properties;
  const node = Object.assign(document.createElement(tag), plain);
  Object.assign(node.dataset, dataset);
  node.append(...children);
  return node;
}

/** The colour and the letter that stand for a person. */
function paintAvatar(node, name) {
  let hash = 0;
  for (const character of name) hash = (hash * 31 + character.codePointAt(0)) % 360;
  node.style.setProperty("--hue", hash);
  node.textContent = [...name][0]?.toUpperCase() ?? "?";
}

/** The list of rooms, with what is unread in each. */
export function showRooms(rooms, current, open) {
  const items = rooms.map((room) => {
    const button = element("button", { type: "button", className: "room-link", dataset: { room: room.name } },
      element("span", { className: "hash", ariaHidden: "true" }, "#"),
      element("span", { className: "room-link-name" }, room.name));
    if (room === current) button.setAttribute("aria-current", "true");
    if (room.refused) button.append(element("span", { className: "unread warn", title: room.refused }, "!"));
    if (room.unread > 0) {
      button.append(element("span", { className: "unread" }, room.unread > 99 ? "99+" : String(room.unread),
        element("span", { className: "unseen" }, " unread")));
    }
    button.addEventListener("click", () => open(room));
    return element("li", {}, button);
  });
  // Replacing the list must not take the focus away from whom it is under.
  const focused = document.activeElement?.dataset?.room;
  $("rooms").replaceChildren(...items);
  if (focused) $("rooms").querySelector(`[data-room="${CSS.escape(focused)}"]`)?.focus();
  $("rooms").querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" });

  const unread = rooms.reduce((sum, room) => sum + room.unread, 0);
  document.title = `${unread > 0 ? `(${unread}) ` : ""}${current ? `#${current.name} · ` : ""}Bennu chat`;
}

export function showMe(name) {
  $("my-name").textContent = name;
  paintAvatar($("my-avatar"), name);
}

/** The head of the room and all that belongs to it but its messages. */
export function showRoom(room, canLeave) {
  $("room-name").textContent = `# ${room.name}`;
  $("members").textContent = room.members === undefined ? "" : `${room.members} here`;
  $("leave-room").hidden = !canLeave;
  $("body-label").textContent = `Message to ${room.name}`;
  $("body").placeholder = `Message #${room.name}`;
  $("messages").setAttribute("aria-label", `Messages in ${room.name}`);
  $("empty").hidden = room.messages.length > 0;
  $("empty").textContent = room.refused
    ? `The server doesn’t let you in here: ${room.refused}`
    : "Nothing has been said here yet. Say hello!";
}

/** The line that tells who is typing. */
export function showTyping(names) {
  const [first, second] = names;
  $("typing").textContent =
    names.length === 0 ? ""
    : names.length === 1 ? `${first} is typing…`
    : names.length === 2 ? `${first} and ${second} are typing…`
    : "Several people are typing…";
}

/**
 * Brings the list of messages to what the room holds; nodes that are right already stay as they are,
 * so that a screen reader reads only what is new.
 * @param {boolean} online what is on its way waits for the connection otherwise
 * @param {{retry: (id: string) => void, edit: (id: string) => void}} actions for messages that weren't sent
 */
export function showMessages(room, online, actions) {
  const list = $("messages");
  const atEnd = isAtEnd();
  const switched = list.dataset.room !== room.name;
  if (switched) list.replaceChildren();
  list.dataset.room = room.name;
  const present = new Map([...list.children].map((node) => [node.dataset.id, node]));
  let previous;
  let cursor = list.firstElementChild;
  for (const message of room.messages) {
    const follows = previous && !previous.note && !message.note && previous.from === message.from &&
      previous.own === message.own && message.at - previous.at < TOGETHER_MS;
    const fate = message.state === "pending" ? (online ? "Sending…" : "Waiting for the connection…") : "";
    const look = [message.state, message.at, message.reason, follows, fate].join("|");
    let node = present.get(message.id);
    present.delete(message.id);
    if (!node || node.dataset.look !== look) {
      const fresh = message.note ? noteItem(message) : messageItem(message, follows, fate, actions);
      fresh.dataset.look = look;
      if (node) {
        if (cursor === node) cursor = node.nextElementSibling;
        node.replaceWith(fresh);
        list.insertBefore(fresh, cursor);
      }
      node = fresh;
    }
    if (node === cursor) cursor = cursor.nextElementSibling;
    else list.insertBefore(node, cursor);
    previous = message;
  }
  for (const gone of present.values()) gone.remove();
  const last = room.messages.at(-1);
  if (switched || atEnd || last?.state === "pending") scrollToEnd();
  else if (last && !last.note) $("newer").hidden = false;
}

function noteItem({ id, text, at }) {
  return element("li", { className: "note", dataset: { id }, title: fullDate.format(at) }, text);
}

function messageItem(message, follows, fate, actions) {
  const { id, from, body, at, own, state } = message;
  const time = element("time", { dateTime: new Date(at).toISOString(), title: fullDate.format(at) }, clock.format(at));
  const bubble = element("div", { className: "bubble" }, element("p", { className: "body" }, body));
  const item = element("li", { className: "message", dataset: { id, state } });
  item.classList.toggle("own", own);
  item.classList.toggle("follows", Boolean(follows));
  if (!own) {
    const avatar = element("span", { className: "avatar", ariaHidden: "true" });
    paintAvatar(avatar, from);
    item.append(avatar);
  }
  const who = element("p", { className: "who" }, element("span", { className: "from" }, own ? "You" : from), " ", time);
  const column = element("div", { className: "column" }, who, bubble);
  if (fate) column.append(element("p", { className: "fate" }, fate));
  if (state === "failed") column.append(failure(message, actions));
  item.append(column);
  return item;
}

function failure({ id, reason }, { retry, edit }) {
  const again = element("button", { type: "button", className: "quiet" }, "Try again");
  again.addEventListener("click", () => retry(id));
  const change = element("button", { type: "button", className: "quiet" }, "Edit");
  change.addEventListener("click", () => edit(id));
  return element("p", { className: "fate failed" }, element("span", {}, `Not sent: ${reason}`), again, change);
}

/**
 * The connection, in words.
 * @param {{kind: "connecting" | "online" | "offline", retryAt?: number}} state
 */
export function showState({ kind, retryAt }, now) {
  const seconds = retryAt === undefined ? 0 : Math.ceil((retryAt - now) / 1_000);
  const words = { connecting: "Connecting…", online: "Online", offline: "Offline: reconnecting" };
  const state = $("state");
  // Written only when it differs, or a screen reader would repeat it.
  if (state.textContent !== words[kind]) state.textContent = words[kind];
  state.dataset.state = kind;
  const banner = seconds > 0
    ? `The connection is lost. Trying again in ${seconds} s; what you write is kept.`
    : "The connection is lost. Trying again now; what you write is kept.";
  if (kind === "offline" && $("banner-text").textContent !== banner) $("banner-text").textContent = banner;
  $("banner").hidden = kind !== "offline";
}

/** Asks for a name, with the reason why the last one didn't do. */
export function askName(name, reason = "") {
  $("enter").disabled = false;
  $("name").value = name;
  $("name-error").textContent = reason;
  $("name").setAttribute("aria-invalid", String(reason !== ""));
  if (!$("welcome").open) $("welcome").showModal();
  $("name").select();
}

export function isAtEnd() {
  const { scrollHeight, scrollTop, clientHeight } = $("scroll");
  return scrollHeight - scrollTop - clientHeight < NEAR_END_PX;
}

export function scrollToEnd() {
  $("scroll").scrollTop = $("scroll").scrollHeight;
  $("newer").hidden = true;
}
