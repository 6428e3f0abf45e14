import { addBusinessDays, compareAsc, differenceInCalendarDays, differenceInMonths, eachWeekOfInterval, endOfQuarter, format,
  formatDistanceStrict, formatISO, formatISODuration, getISOWeek, intervalToDuration, isWithinInterval, lightFormat, parse,
  parseISO, startOfWeek } from 'date-fns';
import { de, fr, ja } from 'date-fns/locale';

export const formats = ({ at, patterns }) => patterns.map((pattern) =>
  [format(parseISO(at), pattern), ...[de, fr, ja].map((locale) => format(parseISO(at), pattern, { locale }))]);

export const between = ({ from, to }) => {
  const [start, end] = [parseISO(from), parseISO(to)];
  return {
    days: differenceInCalendarDays(end, start), months: differenceInMonths(end, start), week: getISOWeek(start),
    duration: intervalToDuration({ start, end }), iso: formatISODuration(intervalToDuration({ start, end })),
    distance: [de, fr, ja].map((locale) => formatDistanceStrict(start, end, { locale, addSuffix: true })),
    weeks: eachWeekOfInterval({ start, end }, { weekStartsOn: 1 }).map((day) => formatISO(day)),
    quarter: endOfQuarter(start).toJSON(), work: lightFormat(addBusinessDays(start, 10), 'yyyy-MM-dd'),
    within: isWithinInterval(startOfWeek(end), { start, end }), order: compareAsc(start, end),
  };
};

export const parsed = (texts) => texts.map(([text, pattern]) => formatISO(parse(text, pattern, new Date(0), { locale: de })));
