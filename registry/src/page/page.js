// The page of the registry. Everything that comes from the registry is put in as text, never as markup.
"use strict";

const main = document.getElementById("main");
const query = document.getElementById("query");
const said = document.getElementById("said");

// ---- making elements

/** An element with properties and children; strings become text. */
function el(name, properties, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat(9).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

function svg(name, properties, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(properties)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

function copyIcon() {
  return svg("svg", { viewBox: "0 0 24 24", width: 16, height: 16, "aria-hidden": "true", fill: "none", stroke: "currentColor", "stroke-width": 2 },
    svg("rect", { x: 9, y: 9, width: 11, height: 11, rx: 2 }),
    svg("path", { d: "M5 15H4a1 1 0 0 1-1-1V4a1 1 0 0 1 1-1h10a1 1 0 0 1 1 1v1" }));
}

// ---- what things are called

const units = ["B", "KiB", "MiB", "GiB", "TiB"];

function bytes(count) {
  let unit = 0;
  while (count >= 1024 && unit < units.length - 1) { count /= 1024; unit += 1; }
  return `${unit === 0 ? count : count.toFixed(count < 10 ? 2 : 1)} ${units[unit]}`;
}

function plural(count, one, many) {
  return `${count} ${count === 1 ? one : many || one + "s"}`;
}

function day(text) {
  const date = new Date(text);
  return isNaN(date) ? text : date.toISOString().slice(0, 10);
}

function short(digest) {
  const [algorithm, hex] = digest.split(":");
  return `${algorithm}:${(hex || "").slice(0, 12)}`;
}

function hashOf(repository, reference) {
  if (!reference) return `#/${repository}`;
  return `#/${repository}${reference.includes(":") ? "@" : ":"}${reference}`;
}

/** The name of an image as a client writes it. */
function fullName(repository, reference) {
  return `${location.host}/${repository}${reference.includes(":") ? "@" : ":"}${reference}`;
}

// ---- asking

class Refused extends Error {
  constructor(status, text) { super(text); this.status = status; }
}

async function ask(what, parameters) {
  // The address of the page may hold a name and a password, which fetch refuses.
  const target = `${location.origin}/_sealos/v1/${what}?${new URLSearchParams(parameters)}`;
  const response = await fetch(target, { headers: { Accept: "application/json" }, credentials: "same-origin" });
  const body = await response.json().catch(() => ({}));
  if (!response.ok) {
    const error = body.error || (body.errors && body.errors[0] && body.errors[0].message);
    throw new Refused(response.status, error || `the registry answered ${response.status}`);
  }
  return body;
}

// ---- copying

function say(text) {
  said.textContent = text;
  said.classList.add("shown");
  clearTimeout(say.timer);
  say.timer = setTimeout(() => said.classList.remove("shown"), 2000);
}

async function copy(text) {
  let done = false;
  // Browsers have a clipboard only where the connection is secure.
  if (navigator.clipboard) done = await navigator.clipboard.writeText(text).then(() => true, () => false);
  if (!done) {
    const area = el("textarea", { readonly: true, class: "hidden", "aria-hidden": "true" });
    const before = document.activeElement;
    area.value = text;
    document.body.append(area);
    area.select();
    done = document.execCommand("copy");
    area.remove();
    if (before) before.focus();
  }
  say(done ? "Copied" : "Copying is not possible here; select the text");
}

function copyButton(text, label) {
  return el("button", { type: "button", class: "plain", "aria-label": label, title: label, onclick: () => copy(text) }, copyIcon());
}

function digestOf(digest) {
  return el("span", { class: "digest" }, el("code", { title: digest }, short(digest)), copyButton(digest, `Copy digest ${short(digest)}`));
}

// ---- parts that are used in several places

function badge(kind, artifactType) {
  const ordinary = kind === "image" || kind === "artifact";
  return el("span", { class: ordinary ? "badge other" : "badge", title: artifactType || undefined }, kind);
}

function table(label, headings, rows) {
  const heading = ([text, kind]) => el("th", { scope: "col", class: kind }, text);
  return el("div", { class: "sheet" },
    el("table", { "aria-label": label }, el("thead", {}, el("tr", {}, headings.map(heading))), el("tbody", {}, rows)));
}

function cell(label, kind, ...children) {
  return el("td", { "data-label": label, class: kind || undefined }, ...children);
}

function facts(...list) {
  return el("div", { class: "facts" }, list.filter(Boolean).map((fact) => el("span", {}, fact)));
}

function trail(repository, reference) {
  const parts = repository.split("/");
  return el("nav", { class: "trail", "aria-label": "Where you are" },
    el("a", { href: "#/" }, "All repositories"), " / ",
    reference ? el("a", { href: hashOf(repository) }, parts.join("/")) : el("span", { "aria-current": "page" }, parts.join("/")));
}

function more(action) {
  const button = el("button", { type: "button", class: "more" }, "Show more");
  button.addEventListener("click", async () => {
    button.disabled = true;
    try { await action(); } catch (error) { say(error.message); }
    button.remove();
  });
  return button;
}

function marked(text, wanted) {
  const at = wanted ? text.toLowerCase().indexOf(wanted.toLowerCase()) : -1;
  if (at < 0) return [text];
  return [text.slice(0, at), el("mark", {}, text.slice(at, at + wanted.length)), text.slice(at + wanted.length)];
}

function definitions(pairs) {
  return el("dl", {}, pairs.map(([term, value]) => [el("dt", {}, term), el("dd", {}, el("code", {}, value))]));
}

// ---- commands

const clients = [
  ["sealos", (name) => `sealos pull ${name}`],
  ["sealos run", (name) => `sealos run ${name}`],
  ["docker", (name) => `docker pull ${name}`],
  ["podman", (name, plain) => `podman pull ${plain ? "--tls-verify=false " : ""}${name}`],
  ["nerdctl", (name, plain) => `nerdctl ${plain ? "--insecure-registry " : ""}pull ${name}`],
  ["skopeo", (name, plain) => `skopeo copy --all ${plain ? "--src-tls-verify=false " : ""}docker://${name} oci-archive:image.tar`],
  ["crane", (name, plain) => `crane pull ${plain ? "--insecure " : ""}${name} image.tar`],
];

function chartCommand(repository, reference, plain) {
  return `helm pull oci://${location.host}/${repository} --version ${reference}${plain ? " --plain-http" : ""}`;
}

function commands(repository, reference, kind) {
  const plain = location.protocol === "http:";
  const name = fullName(repository, reference);
  let list = clients.map(([client, make]) => [client, make(name, plain)]);
  if (kind === "Helm chart") list = [["helm", chartCommand(repository, reference, plain)], ["oras", `oras pull ${plain ? "--plain-http " : ""}${name}`]];
  else if (kind === "artifact") list = [["oras", `oras pull ${plain ? "--plain-http " : ""}${name}`], ...list.filter(([client]) => client === "skopeo" || client === "crane")];
  else if (kind !== "cluster image") list = [...list.slice(2), ...list.slice(0, 2)];
  const shown = el("code", { id: "command", tabindex: "0", "aria-label": "Command" });
  const remembered = stored("client");
  let chosen = list.find(([client]) => client === remembered) || list[0];
  const show = () => { shown.textContent = chosen[1]; };
  show();
  return el("section", { "aria-label": "How to pull" },
    el("fieldset", {}, el("legend", { class: "hidden" }, "Client"),
      el("div", { class: "choices" }, list.map((entry) => el("label", {},
        el("input", { type: "radio", name: "client", value: entry[0], checked: entry === chosen, onchange: () => { chosen = entry; store("client", entry[0]); show(); } }),
        el("span", {}, entry[0]))))),
    el("div", { class: "command" }, shown, el("button", { type: "button", onclick: () => copy(chosen[1]), "aria-label": "Copy the command" }, "Copy")));
}

// ---- views

async function showRepositories(view, wanted) {
  document.title = location.host;
  const answer = await ask("repositories", { q: wanted });
  if (!view.isCurrent()) return;
  const list = el("ul", { class: "rows" });
  const add = (lines) => list.append(...lines.map((line) => el("li", {}, el("a", { href: hashOf(line.name) },
    el("span", { class: "name" }, marked(line.name, wanted)), el("span", { class: "quiet" }, plural(line.tags, "tag"))))));
  add(answer.repositories);
  const head = el("h1", {}, wanted ? "Repositories found" : "Repositories");
  if (answer.total === 0) {
    const nothing = wanted ? `No repository has “${wanted}” in its name.` : "There is nothing here yet, or nothing that you may see.";
    view.show(head, el("p", { class: "quiet" }, nothing), wanted ? null : empty());
    return;
  }
  view.show(head, facts(plural(answer.total, "repository", "repositories")), el("div", { class: "sheet" }, list));
  const page = (next) => { if (next) main.append(more(async () => { const answer = await ask("repositories", { q: wanted, last: next }); add(answer.repositories); page(answer.next); })); };
  page(answer.next);
}

function empty() {
  const plain = location.protocol === "http:" ? "--dest-tls-verify=false " : "";
  return el("div", {}, el("h2", {}, "Put something in"), el("div", { class: "command" },
    el("code", { tabindex: "0" }, `skopeo copy --all ${plain}docker://docker.io/library/busybox docker://${location.host}/library/busybox`)));
}

async function showTags(view, repository, wanted) {
  document.title = `${repository} · ${location.host}`;
  const answer = await ask("tags", { repository, q: wanted });
  if (!view.isCurrent()) return;
  const body = [];
  const line = (tag) => el("tr", {},
    cell("", "", el("a", { href: hashOf(repository, tag.tag) }, marked(tag.tag, wanted)), " ", tag.kind === "image" || !tag.kind ? null : badge(tag.kind, tag.artifact_type)),
    cell("Platforms", "", platforms(tag)),
    cell("Created", "number", tag.created ? day(tag.created) : ""),
    cell("Size", "number", tag.digest ? bytes(tag.size) : "not readable"),
    cell("Digest", "", tag.digest ? digestOf(tag.digest) : ""));
  body.push(...answer.tags.map(line));
  const sheet = table("Tags", [["Tag"], ["Platforms"], ["Created", "number"], ["Size", "number"], ["Digest"]], body);
  view.show(trail(repository), el("h1", {}, repository), facts(plural(answer.total, "tag"), wanted ? `with “${wanted}”` : null),
    answer.tags.length ? sheet : el("p", { class: "quiet" }, wanted ? `No tag has “${wanted}” in it.` : "There are no tags here."));
  const page = (next) => { if (next) main.append(more(async () => { const answer = await ask("tags", { repository, q: wanted, last: next }); sheet.querySelector("tbody").append(...answer.tags.map(line)); page(answer.next); })); };
  page(answer.next);
}

function platforms(tag) {
  const list = tag.platforms || [];
  const text = list.length > 4 ? `${list.slice(0, 3).join(", ")} and ${list.length - 3} more` : list.join(", ");
  const carried = tag.carried ? `carries ${plural(tag.carried, "image")}` : "";
  return [el("span", { title: list.join(", ") }, text), carried ? el("span", { class: "quiet" }, `${text ? " · " : ""}${carried}`) : null];
}

async function showImage(view, repository, reference) {
  document.title = `${repository}${reference.includes(":") ? "" : ":" + reference} · ${location.host}`;
  const image = await ask("image", { repository, reference });
  if (!view.isCurrent()) return;
  const name = reference.includes(":") ? repository : `${repository}:${reference}`;
  const part = el("div", {});
  view.show(trail(repository, reference),
    el("h1", {}, name, " ", badge(image.kind, image.artifact_type)),
    facts(digestOf(image.digest), image.platforms.length ? image.platforms.join(", ") : null, image.created ? `created ${day(image.created)}` : null,
      `${bytes(image.size)} in all`, image.carried ? `carries ${plural(image.carried, "image")}` : null),
    commands(repository, reference, image.kind),
    carriedImages(repository, image),
    partChooser(image, part), part,
    others("Signatures and other artifacts that refer to it", repository, image.referrers),
    others("Also listed in the index", repository, image.others),
    annotations(image.annotations),
    el("details", { class: "sheet" }, el("summary", {}, "Manifest ", el("span", { class: "quiet" }, image.media_type)),
      el("pre", { tabindex: "0", "aria-label": "Manifest" }, JSON.stringify(image.manifest, null, 2))));
  const sharing = await ask("sharing", { repository, reference }).catch(() => null);
  if (sharing && view.isCurrent()) fillSharing(sharing.blobs);
}

function partChooser(image, target) {
  const show = (part) => target.replaceChildren(...partView(part, image.kind));
  if (image.parts.length === 0) return null;
  show(image.parts[0]);
  if (image.parts.length === 1) return null;
  return el("fieldset", {}, el("legend", {}, el("h2", {}, "Platform")),
    el("div", { class: "choices" }, image.parts.map((part, at) => el("label", {},
      el("input", { type: "radio", name: "platform", checked: at === 0, onchange: () => { show(part); fillSharing(); } }),
      el("span", {}, part.platform || short(part.digest))))));
}

function partView(part, kind) {
  if (!part.is_here) return [el("p", { class: "note" }, `The index lists ${part.platform || "this manifest"} (${short(part.digest)}), but this registry does not have it.`)];
  const largest = Math.max(1, ...part.layers.map((layer) => layer.size));
  const rows = part.layers.map((layer, at) => el("tr", {},
    cell("", "number quiet", String(at + 1)),
    cell("", "", layer.title ? el("code", {}, layer.title) : layer.made_by ? el("code", { class: "step" }, layer.made_by) : el("span", { class: "quiet" }, layer.media_type)),
    cell("Size", "number size", bytes(layer.size), bar(layer.size / largest)),
    cell("Digest", "", digestOf(layer.digest)),
    el("td", { "data-shared": layer.digest, "data-label": "Shared with" })));
  const layers = part.layers.length ? [el("h2", {}, kind === "artifact" || kind === "Helm chart" ? "Files" : "Layers"),
    facts(plural(part.layers.length, kind === "artifact" ? "file" : "layer"), `${bytes(part.size)} with manifest and configuration`, ["manifest ", digestOf(part.digest)]),
    table("Layers", [["#", "number"], ["Made by"], ["Size", "number"], ["Digest"], ["Shared with"]], rows)] : [];
  const runs = part.runs.length ? [el("h2", {}, "Runs"), el("div", { class: "sheet" }, definitions(part.runs))] : [];
  const folded = (title, pairs) => pairs.length ? [el("details", { class: "sheet" }, el("summary", {}, `${title} `, el("span", { class: "quiet" }, String(pairs.length))), definitions(pairs))] : [];
  const environment = part.environment.map((line) => { const at = line.indexOf("="); return at < 0 ? [line, ""] : [line.slice(0, at), line.slice(at + 1)]; });
  return [...layers, ...runs, ...folded("Environment", environment), ...folded("Labels", Object.entries(part.labels))];
}

function bar(share) {
  return el("span", { class: "bar" }, svg("svg", { "aria-hidden": "true", preserveAspectRatio: "none", viewBox: "0 0 100 5" }, svg("rect", { width: Math.max(1, share * 100), height: 5, rx: 2 })));
}

function carriedImages(repository, image) {
  if (image.carried_images.length === 0) return null;
  const total = image.carried_images.length;
  const input = el("input", { type: "search", placeholder: "Filter", "aria-label": "Filter carried images", autocomplete: "off" });
  const rows = image.carried_images.map((carried) => {
    const row = el("tr", {},
      cell("", "", el("strong", {}, carried.name), carried.written !== carried.name ? el("div", { class: "quiet" }, "written ", el("code", {}, carried.written)) : null, digestOf(carried.digest)),
      cell("Platforms", "", carried.platforms.map(([platform, digest]) => el("div", {}, el("a", { href: hashOf(repository, digest) }, platform)))),
      cell("Size", "number", bytes(carried.size)),
      cell("Why", "", why(carried.origins)));
    row.dataset.text = `${carried.name} ${carried.written} ${carried.origins.map((origin) => origin.file).join(" ")}`.toLowerCase();
    return row;
  });
  const count = el("p", { class: "quiet", "aria-live": "polite" }, plural(total, "image"));
  input.addEventListener("input", () => {
    const wanted = input.value.trim().toLowerCase();
    let shown = 0;
    for (const row of rows) { row.hidden = !row.dataset.text.includes(wanted); shown += row.hidden ? 0 : 1; }
    count.textContent = wanted ? `${shown} of ${plural(total, "image")}` : plural(total, "image");
  });
  return el("section", { "aria-label": "Carried images" }, el("h2", {}, "Carried images"), count, total > 8 ? input : null,
    table("Carried images", [["Image"], ["Platforms"], ["Size", "number"], ["Why it is here"]], rows));
}

function why(origins) {
  if (origins.length === 0) return el("span", { class: "quiet" }, "it came with the base image");
  const line = (origin) => [el("code", {}, origin.line ? `${origin.file}:${origin.line}` : origin.file),
    el("span", { class: "quiet" }, ` ${origin.what ? origin.what + " · " : ""}${origin.rule}`)];
  const [first, ...rest] = origins;
  return [el("div", {}, line(first)), rest.length ? el("details", {}, el("summary", {}, `and ${plural(rest.length, "more place")}`),
    el("ul", {}, rest.map((origin) => el("li", {}, line(origin))))) : null];
}

function others(title, repository, list) {
  if (!list.length) return null;
  const rows = list.map((other) => el("tr", {}, cell("", "", other.kind), cell("Size", "number", bytes(other.size)),
    cell("Digest", "", el("a", { href: hashOf(repository, other.digest) }, el("code", {}, short(other.digest))))));
  return el("section", { "aria-label": title }, el("h2", {}, title), table(title, [["Kind"], ["Size", "number"], ["Digest"]], rows));
}

function annotations(map) {
  const pairs = Object.entries(map);
  return pairs.length ? el("details", { class: "sheet" }, el("summary", {}, "Annotations ", el("span", { class: "quiet" }, String(pairs.length))), definitions(pairs)) : null;
}

/** Fills in where blobs are shared; without an argument what is known already. */
function fillSharing(blobs) {
  fillSharing.known = blobs || fillSharing.known || {};
  for (const place of document.querySelectorAll("[data-shared]")) {
    const shared = fillSharing.known[place.dataset.shared];
    if (!shared) { place.replaceChildren(el("span", { class: "quiet" }, "only here")); continue; }
    const hidden = shared.count - shared.images.length;
    place.replaceChildren(el("details", {}, el("summary", {}, plural(shared.count, "image")),
      el("ul", {}, shared.images.map((name) => el("li", {}, el("a", { href: `#/${name}` }, name))), hidden > 0 ? el("li", { class: "quiet" }, `and ${hidden} more`) : null)));
  }
}

// ---- from the address to a view

let turn = 0;

function place() {
  const [path, search] = decodeURIComponent(location.hash.replace(/^#\/?/, "")).split("?q=");
  const digest = path.indexOf("@");
  if (digest > 0) return { repository: path.slice(0, digest), reference: path.slice(digest + 1) };
  const colon = path.lastIndexOf(":");
  if (colon > path.lastIndexOf("/")) return { repository: path.slice(0, colon), reference: path.slice(colon + 1) };
  return { repository: path, wanted: search || "" };
}

async function go() {
  // An anchor on the page is none of the views'.
  if (location.hash && !location.hash.startsWith("#/")) return;
  const own = ++turn;
  const { repository, reference, wanted } = place();
  const view = {
    isCurrent: () => own === turn,
    show: (...children) => { main.replaceChildren(...children.filter(Boolean)); },
  };
  main.setAttribute("aria-busy", "true");
  fillSharing.known = null;
  query.placeholder = repository && !reference ? "Filter tags (press /)" : "Search (press /)";
  if (document.activeElement !== query) query.value = wanted || "";
  try {
    if (reference) await showImage(view, repository, reference);
    else if (repository) await showTags(view, repository, wanted);
    else await showRepositories(view, wanted);
  } catch (error) {
    if (!view.isCurrent()) return;
    const text = error.status === 404 ? "There is no such image here, or you may not see it." : `This cannot be shown: ${error.message}.`;
    view.show(repository ? trail(repository) : null, el("h1", {}, repository || "Repositories"), el("p", { class: "note", role: "alert" }, text));
  }
  if (!view.isCurrent()) return;
  main.setAttribute("aria-busy", "false");
  if (document.activeElement !== query && go.began) main.focus({ preventScroll: true });
  if (go.began) window.scrollTo(0, 0);
  go.began = true;
}

function search() {
  const { repository, reference } = place();
  const within = repository && !reference ? repository : "";
  const wanted = query.value.trim();
  const target = `#/${within}${wanted ? "?q=" + encodeURIComponent(wanted) : ""}`;
  history.replaceState(null, "", target);
  go();
}

// ---- what is remembered in this browser

function stored(key) {
  try { return localStorage.getItem(`sealos.${key}`); } catch { return null; }
}

function store(key, value) {
  try { localStorage.setItem(`sealos.${key}`, value); } catch { /* private windows have no memory */ }
}

const themes = ["", "light", "dark"];

function paint(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
  document.getElementById("theme").setAttribute("aria-label", `Colours: ${theme || "as the system has them"}`);
}

function start() {
  document.getElementById("host").textContent = location.host;
  paint(stored("theme") || "");
  document.getElementById("theme").addEventListener("click", () => {
    const next = themes[(themes.indexOf(stored("theme") || "") + 1) % themes.length];
    store("theme", next);
    paint(next);
    say(`Colours: ${next || "as the system has them"}`);
  });
  let typing;
  query.addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(search, 200); });
  document.getElementById("find").addEventListener("submit", (event) => { event.preventDefault(); clearTimeout(typing); search(); });
  document.addEventListener("keydown", (event) => {
    const writing = /^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement.tagName);
    if (event.key === "/" && !writing && !event.ctrlKey && !event.metaKey && !event.altKey) { event.preventDefault(); query.focus(); query.select(); }
    if (event.key === "Escape" && document.activeElement === query) { query.value = ""; search(); main.focus(); }
  });
  document.querySelector(".skip").addEventListener("click", (event) => { event.preventDefault(); main.focus(); });
  window.addEventListener("hashchange", go);
  ask("registry", {}).then((registry) => {
    document.getElementById("version").textContent = `sealos registry ${registry.version}${registry.writable ? "" : " · read only"}`;
    document.getElementById("who").textContent = registry.user || "";
  }, () => {});
  go();
}

start();
