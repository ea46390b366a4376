// Small things that both pages are built of. All text goes in as text: nothing that people write becomes markup.

export const $ = (id) => document.getElementById(id);

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "short" });

/** An element with properties and children; strings become text. */
export function element(tag, properties = {}, ...children) {
  const { dataset, ...plain } = properties;
  const node = Object.assign(document.createElement(tag), plain);
  Object.assign(node.dataset, dataset);
  node.append(...children);
  return node;
}

/** Sets a text, unless it's there already: a screen reader would repeat it. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** The colour and the letter that stand for a person. */
export function paintAvatar(node, name) {
  let hash = 0;
  for (const character of name) hash = (hash * 31 + character.codePointAt(0)) % 360;
  node.style.setProperty("--hue", hash);
  node.textContent = [...name][0]?.toUpperCase() ?? "?";
  return node;
}

export function avatar(name) {
  return paintAvatar(element("span", { className: "avatar", ariaHidden: "true" }), name);
}

/** A time: the clock's today, else with its day. */
export function time(at) {
  const date = new Date(at);
  const today = date.toDateString() === new Date().toDateString();
  const text = (today ? clock : day).format(date);
  return element("time", { dateTime: date.toISOString(), title: full.format(date) }, text);
}

export function counted(count, word) {
  return `${count} ${word}${count === 1 ? "" : "s"}`;
}

/** Keeps what is written in a field over a reload of the page, in this tab. Returns what to call when a script changes it. */
export function keepDraft(field, key) {
  const save = () => {
    try {
      if (field.value) sessionStorage.setItem(key, field.value);
      else sessionStorage.removeItem(key);
    } catch {
      // Full or forbidden: it is kept as long as the page is.
    }
  };
  try {
    field.value = sessionStorage.getItem(key) ?? "";
  } catch {
    // There was none.
  }
  field.addEventListener("input", save);
  return save;
}

/** Why the server refused something, in words: errors by field, or a reason. */
export function why({ errors, reason }, names = {}) {
  if (!errors) return `${reason ?? "the server gave no reason"}.`;
  const lines = Object.entries(errors).map(([field, words]) => `${names[field] ?? field} ${words.join(" and ")}.`);
  return lines.join(" ");
}
