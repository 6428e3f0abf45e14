import dayjs from 'dayjs';
import 'dayjs/locale/de.js';
import customParseFormat from 'dayjs/plugin/customParseFormat.js';
import duration from 'dayjs/plugin/duration.js';
import isoWeek from 'dayjs/plugin/isoWeek.js';
import relativeTime from 'dayjs/plugin/relativeTime.js';
import timezone from 'dayjs/plugin/timezone.js';
import utc from 'dayjs/plugin/utc.js';

for (const plugin of [customParseFormat, duration, isoWeek, relativeTime, utc, timezone]) dayjs.extend(plugin);

export const formats = ({ at, patterns }) => patterns.map((pattern) => dayjs.utc(at).format(pattern));

// Intl.DateTimeFormat has the zones.
export const inZones = ({ at, zones }) => zones.map((zone) => {
  const there = dayjs.utc(at).tz(zone);
  return [there.format(), there.utcOffset(), there.endOf('month').toISOString(), dayjs.tz('2024-03-31 02:30', zone).toISOString()];
});

export const local = (at) => dayjs(at).format('YYYY-MM-DD HH:mm:ss.SSS Z');

export const between = ({ from, to }) => {
  const [start, end] = [dayjs.utc(from), dayjs.utc(to)];
  return {
    days: end.diff(start, 'day', true), months: end.diff(start, 'month'), week: start.isoWeek(),
    relative: start.from(end), german: start.locale('de').from(end),
    weekday: start.locale('de').format('dddd, D. MMMM YYYY'), iso: dayjs.duration(end.diff(start)).toISOString(),
    added: start.add(1, 'month').add(3, 'hour').toJSON(),
  };
};

export const parsed = (texts) => texts.map(([text, pattern]) => {
  const time = dayjs.utc(text, pattern, true);
  return time.isValid() ? time.toISOString() : null;
});
