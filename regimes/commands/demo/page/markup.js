// The markup of each receiver, read into elements. Whatever is not known stays text.
import { h } from "/js/dom.js";

const EXAMPLE = "https://regimes.example";
const ENTITIES = { amp: "&", lt: "<", gt: ">", quot: '"', "#x27": "'", "#39": "'" };
const plain = (text) => text.replace(/&(amp|lt|gt|quot|#x27|#39);/g, (_whole, name) => ENTITIES[name]);

/** A link, where its address is one of the web; the example address stands for this server. */
export function link(url, label, attributes = {}) {
  if (!/^https?:\/\//.test(url)) return label;
  return h("a", { href: url.startsWith(`${EXAMPLE}/`) ? url.slice(EXAMPLE.length) : url, rel: "noreferrer", ...attributes }, label);
}

/** Cut `text` where `pattern` matches; build(match) makes an element of each, the rest stays text. */
function pieces(text, pattern, build, rest = (between) => between) {
  const found = [];
  let from = 0;
  for (const match of text.matchAll(pattern)) {
    found.push(rest(text.slice(from, match.index)), build(match));
    from = match.index + match[0].length;
  }
  return [...found, rest(text.slice(from))].filter((piece) => piece !== "");
}

/** Discord: a sign after a backslash is itself, and a link has its label in brackets. */
export function discord(text) {
  const bare = (part) => part.replace(/\\([^A-Za-z0-9\s])/g, "$1");
  return pieces(text, /(?<!\\)\[((?:\\.|[^\]\\])*)\]\((https?:[^)\s]*)\)/g, ([, label, url]) => link(url, bare(label)), bare);
}

/** Telegram: bold and italic tags, and entities. */
export function telegram(text) {
  return pieces(text, /<([bi])>(.*?)<\/\1>/gs, ([, tag, inner]) => h(tag, {}, plain(inner)), plain);
}

/** Slack: links in angle brackets, bold between stars, and entities. */
export function slack(text) {
  return pieces(text, /<(https?:[^|>]*)\|([^>]*)>|(?<=^|\s)\*([^*\n]+)\*/g, ([, url, label, bold]) => (url ? link(url, plain(label)) : h("b", {}, plain(bold))), plain);
}

/** JSON, indented, with keys, texts and numbers told apart. */
export function json(value) {
  return pieces(JSON.stringify(value, null, 2), /("(?:\\.|[^"\\])*")(:?)|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/g, ([whole, text, colon]) => {
    if (text && colon) return h("span", {}, h("span", { class: "property" }, text), colon);
    return h("span", { class: text ? "text" : "number" }, whole);
  });
}
