// The page: one event stream, drawn into the nodes that index.html holds. Texts
// are only ever set as text.

import * as format from "./format.js";

const staleAfter = 4000; // ms without a status until the page says so
const retryEvery = 3000; // ms between two tries to open the stream

const byId = (id) => document.getElementById(id);

let seen = 0; // when the last status came, by this machine's clock
const began = Date.now();
let opened = 0; // when the stream was last tried
let stream = null;
let tries = 0; // timer of the next try, 0 if none is set
let rows = null; // nodes of the targets' table, for the names in rows.names

function text(node, value) {
  // Unchanged nodes are left alone, so that a selection in them survives.
  if (node.textContent !== value) node.textContent = value;
}

function look(node, kind, colour, value) {
  const wanted = kind + " " + colour;
  if (node.className !== wanted) node.className = wanted;
  text(node, value);
}

function show(node, yes) {
  if (node.hidden === yes) node.hidden = !yes;
}

function make(tag, attributes, parent) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (parent) parent.append(node);
  return node;
}

function draw(status) {
  const now = Date.parse(status.now);
  seen = Date.now();
  document.title = (status.name ? status.name + " · " : "") + "walbridge";
  text(byId("name"), status.name || "walbridge");
  text(byId("version"), "walbridge " + (status.version || "of unknown version"));
  const started = Date.parse(status.started);
  text(byId("uptime"), "up since " + format.since(started) + ", for " + format.span(now - started));
  text(byId("clock"), "As of " + format.date(now));
  const [colour, words] = format.overall(status);
  look(byId("overall"), "notice", colour, words);
  drawCapture(status.capture, now);
  drawLog(status.log, now);
  drawTargets(status.targets, now);
  show(byId("numbers"), true);
  connection();
}

function drawCapture(capture, now) {
  show(byId("capture"), Boolean(capture));
  show(byId("capture-state"), Boolean(capture));
  show(byId("capture-none"), !capture);
  text(byId("capture-names"), capture ? "slot " + capture.slot + ", publication " + capture.publication : "");
  if (!capture) return;
  look(byId("capture-state"), "pill", format.captureColour(capture.state), capture.state);
  text(byId("c-rate"), format.rate(capture.rows_per_second));
  text(byId("c-lag"), capture.lag_ms > 0 ? format.latency(capture.lag_ms) : format.none);
  text(byId("c-unconfirmed"), format.bytes(capture.lag_bytes));
  text(byId("c-until"), capture.complete_until ? format.ago(Date.parse(capture.complete_until), now) : "nothing yet");
  const kept = capture.retained_wal_bytes / capture.wal_budget_bytes;
  look(
    byId("c-retained"), "word", kept >= 1 ? "bad" : kept >= 0.5 ? "warn" : "plain",
    format.bytes(capture.retained_wal_bytes) + " of " + format.bytes(capture.wal_budget_bytes),
  );
  look(byId("c-losses"), "word", capture.losses > 0 ? "bad" : "plain", format.count(capture.losses));
  text(byId("c-progress"), capture.progress ? format.ago(Date.parse(capture.progress), now) : "nothing yet");
  const weak = capture.durability === "none";
  look(byId("c-durability"), "word", weak ? "warn" : "plain", capture.durability || format.none);
  show(byId("c-warning"), weak);
  text(
    byId("c-warning"),
    weak ? "Redis keeps nothing over a restart: what is not delivered by then is lost with the log. Set appendonly yes in Redis." : "",
  );
  text(byId("c-server-end"), capture.server_end || format.none);
  text(byId("c-appended"), capture.appended || format.none);
  text(byId("c-confirmed"), capture.confirmed || format.none);
  text(byId("c-transactions"), format.count(capture.transactions));
  text(byId("c-rows"), format.count(capture.rows));
  text(byId("c-entries"), format.count(capture.entries));
  text(byId("c-bytes"), format.bytes(capture.bytes));
  drawBackfills(capture.backfills || []);
}

function drawBackfills(loads) {
  show(byId("backfills"), loads.length > 0);
  const list = byId("backfill-list");
  while (list.children.length > loads.length) list.lastChild.remove();
  loads.forEach((l, i) => {
    const node = list.children[i] || make("li", {}, list);
    const of = l.estimate > 0 ? " of about " + format.count(l.estimate) : "";
    const left = l.left_seconds > 0 ? ", " + format.span(l.left_seconds * 1000) + " left" : "";
    const words = l.table + " (" + l.reason + ", " + l.id + "): " + l.state + ", " + format.count(l.rows) + of +
      " rows, " + format.rate(l.rows_per_second) + "/s" + left + (l.note ? "; " + l.note : "");
    look(node, "word", l.state === "failed" ? "bad" : "plain", words);
  });
}

function drawLog(log, now) {
  show(byId("log"), Boolean(log));
  if (!log) return;
  const [colour, words, why] = format.log(log);
  look(byId("log-state"), "pill", colour, words);
  show(byId("log-warning"), Boolean(why));
  text(byId("log-warning"), why);
  text(byId("l-entries"), format.count(log.entries));
  look(byId("l-bytes"), "word", log.over_bytes > 0 ? "warn" : "plain", format.bytes(log.bytes));
  text(byId("l-memory"), format.bytes(log.memory_bytes) + (log.max_memory_bytes > 0 ? " of " + format.bytes(log.max_memory_bytes) : ", no limit"));
  text(byId("l-oldest"), log.oldest ? format.ago(Date.parse(log.oldest), now) : format.none);
  text(byId("l-held"), log.held_by ? log.held_by + ", " + format.bytes(log.held_bytes) : format.none);
  text(byId("l-trimmed"), format.count(log.trimmed));
}

function drawTargets(targets, now) {
  show(byId("targets"), targets.length > 0);
  show(byId("targets-note"), targets.length > 0);
  show(byId("targets-none"), targets.length === 0);
  const running = targets.filter((t) => t.state === "running").length;
  text(byId("targets-count"), targets.length > 0 ? running + " of " + targets.length + " running" : "");
  const names = JSON.stringify(targets.map((t) => [t.name, t.lanes.map((l) => l.name)]));
  if (!rows || rows.names !== names) rows = { names, targets: build(targets) };
  targets.forEach((target, i) => drawTarget(rows.targets[i], target, now));
}

function drawTarget(nodes, target, now) {
  text(nodes.name, target.name);
  const quota = format.quota(target);
  text(nodes.type, quota ? target.type + " · " + quota : target.type);
  const [colour, words] = format.state(target, now);
  look(nodes.state, "pill", colour, words);
  text(nodes.inFlight, format.count(target.in_flight));
  text(nodes.pending, format.count(target.pending));
  text(nodes.requests, format.count(target.requests));
  look(nodes.retries, "n", target.retries > 0 ? "warn" : "plain", format.count(target.retries));
  look(nodes.parked, "n", target.parked > 0 ? "bad" : "plain", format.count(target.parked));
  look(nodes.deferred, "n", target.deferred > 0 ? "warn" : "plain",
    format.count(target.deferred) + (target.deferred > 0 ? ", for " + format.span(target.deferred_seconds * 1000) : ""));
  text(nodes.parents, format.count(target.waiting_for_parent));
  const promised = target.slo_met + target.slo_missed;
  look(nodes.slo, "n", target.slo_missed > 0 ? "warn" : "plain",
    promised > 0 ? format.count(target.slo_met) + " of " + format.count(promised) : format.none);
  const error = target.why || (target.last_error ? "Last error: " + target.last_error : "");
  show(nodes.error, Boolean(error));
  text(nodes.error, error);
  target.lanes.forEach((lane, i) => {
    const values = [
      lane.name,
      format.rate(lane.changes_per_second),
      format.rate(lane.records_per_second),
      format.folded(lane.changes, lane.records),
      format.count(lane.lag),
      format.latency(lane.age_ms),
      format.latency(lane.p50_ms),
      format.latency(lane.p95_ms),
      format.latency(lane.p99_ms),
    ];
    values.forEach((value, j) => text(nodes.lanes[i][j], value));
    nodes.lanes[i][3].title = format.count(lane.changes) + " changes, " + format.count(lane.records) + " records";
  });
}

// build makes the table's rows anew; it runs when targets or lanes come or go.
function build(targets) {
  const table = byId("targets");
  const heads = [...table.tHead.rows[0].cells].map((cell) => cell.textContent);
  for (const body of [...table.tBodies]) body.remove();
  return targets.map((target) => {
    const body = make("tbody", { role: "rowgroup" }, table);
    const nodes = buildHead(body, heads.length);
    nodes.lanes = target.lanes.map(() => {
      const row = make("tr", { role: "row", class: "lane" }, body);
      return heads.map((head, i) =>
        i === 0
          ? make("th", { role: "rowheader", scope: "row" }, row)
          : make("td", { role: "cell", "data-label": head }, row),
      );
    });
    if (target.lanes.length === 0) {
      const row = make("tr", { role: "row", class: "lane" }, body);
      text(make("td", { role: "cell", colspan: heads.length, class: "quiet empty" }, row), "No lane has been read yet.");
    }
    return nodes;
  });
}

function buildHead(body, width) {
  const row = make("tr", { role: "row", class: "target" }, body);
  const cell = make("th", { role: "rowheader", scope: "rowgroup", colspan: width }, row);
  const title = make("div", { class: "title" }, cell);
  const nodes = {
    name: make("span", { class: "name" }, title),
    type: make("span", { class: "quiet" }, title),
    state: make("span", { class: "pill idle" }, title),
  };
  const facts = make("dl", { class: "facts" }, cell);
  const fact = (label) => {
    const pair = make("div", {}, facts);
    text(make("dt", {}, pair), label);
    return make("dd", {}, pair);
  };
  nodes.inFlight = fact("in flight");
  nodes.pending = fact("pending");
  nodes.requests = fact("requests");
  nodes.retries = fact("retries");
  nodes.parked = fact("parked");
  nodes.deferred = fact("deferred");
  nodes.parents = fact("wait for parent");
  nodes.slo = fact("in time");
  nodes.error = make("p", { class: "error" }, cell);
  return nodes;
}

// connection says whether the numbers on the page are live.
function connection() {
  const lost = Date.now() - (seen || began) > staleAfter;
  document.body.classList.toggle("stale", lost && seen > 0);
  look(byId("link"), "pill", lost ? "bad" : seen ? "ok" : "idle", lost ? "connection lost" : seen ? "live" : "connecting");
  show(byId("lost"), lost);
  // Of the two notices, only the one that is true now.
  show(byId("overall"), !lost);
  if (!lost) return;
  // An open stream that says nothing, as after this machine slept.
  if (Date.now() - opened > staleAfter) again();
  document.title = "connection lost · walbridge";
  text(
    byId("lost"),
    "The connection to the process is lost. " +
      (seen ? "The numbers below are from " + format.clock(seen) + " and do not change. " : "") +
      "Trying again.",
  );
}

function open() {
  tries = 0;
  opened = Date.now();
  stream = new EventSource("/api/events");
  stream.onmessage = (event) => draw(JSON.parse(event.data));
  stream.onerror = again;
}

// again gives the stream up and sets the next try. The browser's own trying
// stops for good at the first refusal.
function again() {
  stream.close();
  if (!tries) tries = setTimeout(retry, retryEvery);
}

// retry reads the status once, which works also where all streams are taken,
// and then tries the stream again.
async function retry() {
  try {
    const response = await fetch("/api/status", { cache: "no-store", signal: AbortSignal.timeout(staleAfter) });
    if (response.ok) draw(await response.json());
  } catch {
    // Not reachable: connection() tells it by the time that has passed.
  }
  open();
}

// story asks for the story of one record.
async function story(event) {
  event.preventDefault();
  let lines = [];
  let error = "";
  try {
    const asked = new URLSearchParams({ table: byId("story-table").value.trim(), key: byId("story-key").value.trim() });
    const response = await fetch("/api/trace?" + asked, { cache: "no-store" });
    ({ lines = [], error = "" } = await response.json());
  } catch {
    error = "The process gave no answer.";
  }
  text(byId("story-error"), error);
  show(byId("story-error"), error !== "");
  text(byId("story"), lines.join("\n"));
  show(byId("story"), lines.length > 0);
}

byId("story-form").addEventListener("submit", story);
setInterval(connection, 1000);
open();
