// Four receivers side by side, each message as its own program shows it; an edit changes the message in place.
import { get } from "/js/api.js";
import { startPage } from "/js/bar.js";
import { byId, h, timeElement } from "/js/dom.js";
import { isPaused, view } from "/js/store.js";
import { discord, json, link, slack, telegram } from "./markup.js";

const AGAIN_MS = 2000;
const NEAR_PX = 60; // so close to its end a list follows what comes
const RECEIVERS = {
  discord: ["Discord", "One embed for each episode, edited as it goes on", drawDiscord],
  telegram: ["Telegram", "One message for each episode, edited as it goes on", drawTelegram],
  slack: ["Slack", "A new message for each state, as webhooks of Slack cannot edit", drawSlack],
  http: ["HTTP", "A signed POST for each state, with a JSON body", drawHttp],
};
const lists = new Map(Object.entries(RECEIVERS).map(([target, words]) => [target, receiver(target, ...words)]));
const waiting = []; // what came while the page stood still

startPage();
byId("content").append(...[...lists.values()].map((each) => each.node));
view(["pause"], () => isPaused() || waiting.splice(0).forEach(show), { always: true });
follow();

async function follow() {
  let [run, after] = [null, 0];
  for (;;) {
    try {
      const news = await get("/api/demo/inbox", { after });
      if (run !== null && news.run !== run) {
        for (const each of lists.values()) each.clear();
        waiting.length = after = 0;
        run = null;
        continue;
      }
      ({ run } = news);
      after = news.revision;
      if (isPaused()) waiting.push(...news.messages);
      else news.messages.forEach(show);
    } catch {
      await new Promise((done) => setTimeout(done, AGAIN_MS));
    }
  }
}

const show = (message) => lists.get(message.target)?.show(message);

function receiver(target, name, note, draw) {
  const list = h("div", { class: "messages", role: "list", "aria-label": `Messages to ${name}`, tabindex: "0" });
  const count = h("p", { class: "quiet" }, "nothing yet");
  const node = h("section", { class: `panel receiver ${target}`, "aria-labelledby": `${target}-title` },
    h("header", {}, h("h2", { id: `${target}-title` }, name), count, h("p", { class: "quiet note" }, note)), list);
  const shown = new Map();
  const tell = () => {
    const edited = [...shown.values()].reduce((sum, each) => sum + each.edits, 0);
    count.textContent = !shown.size ? "nothing yet" : `${shown.size} shown${edited ? `, edited ${edited} times` : ""}`;
  };
  return {
    node,
    clear() {
      shown.clear();
      list.replaceChildren();
      tell();
    },
    show(message) {
      const isAtEnd = list.scrollHeight - list.scrollTop - list.clientHeight < NEAR_PX;
      const item = h("div", { class: "message", role: "listitem", "data-number": message.number, "data-edits": message.edits, "data-edited": message.edits > 0 }, draw(message));
      const known = shown.get(message.number);
      shown.set(message.number, { item, edits: message.edits });
      if (known) known.item.replaceWith(item);
      else list.append(item);
      if (isAtEnd) list.scrollTop = list.scrollHeight;
      tell();
    },
  };
}

function sender(message, name = "regimes") {
  return h("p", { class: "sender" }, h("b", {}, name), " ", h("span", { class: "app" }, "APP"), " ", timeElement(message.at_ms, "short"));
}

function drawDiscord(message) {
  return message.body.embeds.map((embed) => {
    const fields = (embed.fields ?? []).map((field) => h("div", { class: field.inline ? "inline" : null }, h("b", {}, discord(field.name)), h("span", {}, discord(field.value))));
    const box = h("div", { class: "embed" }, h("p", { class: "title" }, discord(embed.title)), embed.description ? h("p", { class: "text" }, discord(embed.description)) : null,
      fields.length ? h("div", { class: "fields" }, fields) : null,
      h("p", { class: "foot" }, `${embed.footer.text} · `, timeElement(Date.parse(embed.timestamp), "day")));
    box.style.setProperty("--bar", `#${embed.color.toString(16).padStart(6, "0")}`);
    return h("div", {}, sender(message), box, message.edits ? h("p", { class: "foot" }, "(edited)") : null);
  });
}

function drawTelegram({ body, at_ms: at, edited_ms: edited }) {
  const text = h("p", { class: "text" }, body.parse_mode === "HTML" ? telegram(body.text) : body.text);
  const rows = (body.reply_markup?.inline_keyboard ?? []).map((row) => h("p", { class: "keys" }, row.map((key) => link(key.url, key.text))));
  return [h("div", { class: "bubble" }, text, h("p", { class: "foot" }, edited ? "edited " : "", timeElement(edited ?? at, "short"))), ...rows];
}

function drawSlack(message) {
  return [sender(message), ...message.body.blocks.map(block)];
}

function block({ type, text, fields, elements }) {
  if (type === "header") return h("p", { class: "title" }, text.text);
  if (type === "context") return h("p", { class: "foot" }, elements.flatMap((each, at) => [at ? " · " : "", ...slack(each.text)]));
  return h("div", {}, text ? h("p", { class: "text" }, slack(text.text)) : null,
    fields ? h("div", { class: "fields" }, fields.map((each) => h("div", { class: "text" }, slack(each.text)))) : null);
}

function drawHttp({ body, at_ms: at }) {
  return h("details", { open: true }, h("summary", {}, timeElement(at), ` POST, signature verified: ${body.event_type} ${body.symbol} ${body.phase}`),
    h("pre", { tabindex: "0", role: "group", "aria-label": `Body: ${body.title}` }, json(body)));
}
