// How numbers, times and states are written. Pure functions; no page, no clock.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const tenth = new Intl.NumberFormat("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const moment = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" });
const minute = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "short" });
const hour = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });

const space = "\u00a0"; // keeps a number and its unit on one line

/** What is shown where there is no number. */
export const none = "–";

export function count(n) {
  return whole.format(n);
}

/** A rate: one decimal while it is small. */
export function rate(n) {
  if (n === 0) return "0";
  if (n < 0.1) return "<0.1";
  return n < 99.95 ? tenth.format(n) : whole.format(n);
}

export function bytes(n) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let i = 0;
  while (n >= 1023.95 && i < units.length - 1) {
    n /= 1024;
    i++;
  }
  return (i === 0 ? whole : tenth).format(n) + space + units[i];
}

/** Milliseconds with the unit that reads best. */
export function latency(ms) {
  if (ms <= 0) return none;
  if (ms < 9.95) return tenth.format(ms) + space + "ms";
  if (ms < 999.5) return whole.format(ms) + space + "ms";
  return ms < 59950 ? tenth.format(ms / 1000) + space + "s" : span(ms);
}

/** A span of milliseconds in its two largest units. */
export function span(ms) {
  const s = Math.max(0, Math.round(ms / 1000));
  const parts = [
    [Math.floor(s / 86400), "d"],
    [Math.floor(s / 3600) % 24, "h"],
    [Math.floor(s / 60) % 60, "min"],
    [s % 60, "s"],
  ];
  const first = parts.findIndex(([n]) => n > 0);
  if (first < 0) return "0" + space + "s";
  return parts
    .slice(first, first + 2)
    .filter(([n]) => n > 0)
    .map(([n, unit]) => n + space + unit)
    .join(space);
}

/** How long ago, both in milliseconds since 1970. */
export function ago(then, now) {
  const ms = now - then;
  return ms < 1000 ? "just now" : span(ms) + " ago";
}

/** Changes for each record that was sent. */
export function folded(changes, records) {
  return records > 0 ? tenth.format(changes / records) + "×" : none;
}

export function date(ms) {
  return moment.format(ms);
}

export function since(ms) {
  return minute.format(ms);
}

export function clock(ms) {
  return hour.format(ms);
}

/** The colour and the words of a target's state. */
export function state(target, now) {
  switch (target.state) {
    case "running":
      return ["ok", target.owned < target.partitions ? "running, " + target.owned + " of " + target.partitions + " partitions" : "running"];
    case "waiting":
      return ["idle", "waiting for partitions"];
    case "stopped":
      return ["bad", "stopped"];
    case "detached":
      return ["bad", "detached, comes back once it can be reached"];
    case "probing":
      return ["warn", "probed by one request"];
    case "paused": {
      if (!target.paused_until) return ["warn", "paused"];
      const until = Date.parse(target.paused_until);
      return ["warn", until > now ? "paused for " + span(until - now) : "paused, going on"];
    }
  }
  return ["idle", target.state || "unknown"];
}

/** What a target's account allows; empty if nothing limits it. */
export function quota(target) {
  const words = [];
  if (target.rate > 0) {
    const most = target.rate_limit > target.rate ? " of " + tenth.format(target.rate_limit) : "";
    words.push(tenth.format(target.rate) + most + " requests/s");
  }
  if (target.budget_known) words.push(count(target.budget_left) + " of " + count(target.budget_daily) + " requests left today");
  if (target.throttles > 0) words.push(count(target.throttles) + " throttled");
  return words.length > 0 ? target.account + ": " + words.join(", ") : "";
}

/** The colour of what a capture is at: streaming, standby or connecting. */
export function captureColour(state) {
  return { streaming: "ok", standby: "idle" }[state] || "bad";
}

/** The colour and the word of what the log is at, and the sentence where something is wrong. */
export function log(log) {
  if (log.blocked_ms > 0) return ["bad", "takes nothing", "The log has taken nothing for " + span(log.blocked_ms) + ": " + log.blocked_text];
  if (log.detached.length > 0) return ["warn", "goes on", "The log is not kept any more for: " + log.detached.join(", ") + "."];
  if (log.over_bytes > 0) return ["warn", "full of unread", bytes(log.over_bytes) + " are above the bound and not read by every target."];
  return ["ok", "goes on", ""];
}

/** The colour and the sentence for the whole process. */
export function overall(status) {
  if (!status.ready) return ["bad", "Not ready: " + status.not_ready];
  if (status.capture && status.capture.state === "connecting") return ["bad", "Capture is not connected to PostgreSQL."];
  if (status.capture && status.capture.losses > 0) return ["bad", "Changes were lost: look for data_loss in the log."];
  const of = (state) => status.targets.filter((t) => t.state === state).map((t) => t.name);
  const [stopped, paused] = [of("stopped").concat(of("detached")), of("paused").concat(of("probing"))];
  const words = [];
  if (stopped.length > 0) words.push("Stopped: " + stopped.join(", ") + ".");
  if (paused.length > 0) words.push("Paused: " + paused.join(", ") + ".");
  if (words.length === 0) return ["ok", "Working normally."];
  if (of("running").length > 0) words.push("The other targets go on.");
  return [stopped.length > 0 ? "bad" : "warn", words.join(" ")];
}
