// Numbers, times and lengths of time as people read them. Times are shown in the reader's own time zone; the
// exact UTC time is in the `datetime` and title of every `<time>`.

import { h } from './dom.js';

const day = new Intl.DateTimeFormat(undefined, { year: 'numeric', month: 'short', day: 'numeric' });
const clock = new Intl.DateTimeFormat(undefined, {
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  hourCycle: 'h23',
});
const UNITS = [
  [86400000, 'd'],
  [3600000, 'h'],
  [60000, 'min'],
  [1000, 's'],
];

/** A length of time in at most two units: "2 h 5 min", "1.3 s", "12 ms". */
export function duration(ms) {
  if (ms === null || ms === undefined || Number.isNaN(ms)) return '–';
  if (ms < 0) return `−${duration(-ms)}`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 10000) return `${(Math.floor(ms / 100) / 10).toFixed(1)} s`;
  for (let i = 0; i < UNITS.length; i++) {
    const [size, unit] = UNITS[i];
    if (ms < size) continue;
    const whole = Math.floor(ms / size);
    const next = UNITS[i + 1];
    const rest = next ? Math.floor((ms - whole * size) / next[0]) : 0;
    return rest ? `${whole} ${unit} ${rest} ${next[1]}` : `${whole} ${unit}`;
  }
  return `${ms} ms`;
}

/** "14:03:20" of today, else with the day. */
export function timeText(iso, now = Date.now()) {
  const at = new Date(iso);
  if (!iso || Number.isNaN(at.getTime())) return '–';
  const text = clock.format(at);
  return day.format(at) === day.format(now) ? text : `${day.format(at)}, ${text}`;
}

/** "3 min ago", "in 2 h 5 min". */
export function ago(iso, now = Date.now()) {
  const ms = now - Date.parse(iso);
  if (Number.isNaN(ms)) return '–';
  if (Math.abs(ms) < 2000) return 'now';
  const text = duration(Math.floor(Math.abs(ms) / 1000) * 1000).replace('.0 s', ' s');
  return ms > 0 ? `${text} ago` : `in ${text}`;
}

export const timeOf = (iso, text = timeText(iso)) =>
  iso ? h('time', { datetime: iso, title: iso }, text) : '–';

export function bytes(n) {
  if (n < 1024) return `${n} B`;
  if (n < 1024 * 1024) return `${(n / 1024).toFixed(1)} KiB`;
  return `${(n / 1024 / 1024).toFixed(1)} MiB`;
}

export const plural = (n, one, many = `${one}s`) => `${n.toLocaleString('en')} ${n === 1 ? one : many}`;

/** The part of an id that people tell apart by: UUIDv7 begin with the time, their end is random. */
export const shortId = (id) => (id && id.length > 14 ? `${id.slice(0, 8)}…${id.slice(-4)}` : id || '–');
