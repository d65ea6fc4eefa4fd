import type { TranslationBundle } from '@jupyterlab/translation';
import type { IRow } from './model';

const MINUTE_S = 60;
const HOUR_S = 3600;
const DAY_S = 86400;

/** The language of moments and numbers; by default, that of the browser. */
let language: string | undefined;

/** Write moments and numbers as one does in JupyterLab's language; its default says nothing of the region. */
export function setLanguage(code: string): void {
  language = code === 'en' ? undefined : code;
}

/** Return a length of time in words, rounded down: `2 h 5 min`, `4 min`, `30 s`. */
export function duration(seconds: number, trans: TranslationBundle): string {
  const left = Math.max(0, Math.floor(seconds));
  if (left >= DAY_S) {
    const hours = Math.floor((left % DAY_S) / HOUR_S);
    return trans.__('%1 d %2 h', Math.floor(left / DAY_S), hours);
  }
  if (left >= HOUR_S) {
    const minutes = Math.floor((left % HOUR_S) / MINUTE_S);
    return trans.__('%1 h %2 min', Math.floor(left / HOUR_S), minutes);
  }
  if (left >= 10 * MINUTE_S) {
    return trans.__('%1 min', Math.floor(left / MINUTE_S));
  }
  if (left >= MINUTE_S) {
    return trans.__('%1 min %2 s', Math.floor(left / MINUTE_S), left % MINUTE_S);
  }
  return trans.__('%1 s', left);
}

/** Return a moment as people write it: the time, with the date unless it is today. */
export function moment(seconds: number): string {
  const date = new Date(1000 * seconds);
  const time: Intl.DateTimeFormatOptions = { hour: '2-digit', minute: '2-digit' };
  return date.toDateString() === new Date().toDateString()
    ? date.toLocaleTimeString(language, time)
    : date.toLocaleString(language, { dateStyle: 'medium', timeStyle: 'short' });
}

/** Return an amount of memory: `1.5 GB`. As schedulers do, 1 GB is 1024 MB. */
export function bytes(amount: number): string {
  const units = ['B', 'KB', 'MB', 'GB', 'TB'];
  let unit = 0;
  let value = amount;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${decimal(value, value >= 10 || unit === 0 ? 0 : 1)} ${units[unit]}`;
}

/** Return a number of cores or GPUs: `2`, `0.1`. */
export function count(amount: number): string {
  return decimal(amount, Number.isInteger(amount) ? 0 : 1);
}

function decimal(value: number, digits: number): string {
  const options = { minimumFractionDigits: digits, maximumFractionDigits: digits, useGrouping: false };
  return value.toLocaleString(language ?? 'en', options);
}

/** Return the memory of this server's job: `1.5 of 8.0 GB`, empty if it is not known. */
export function memory(row: IRow, trans: TranslationBundle): string {
  const used = row.usage?.memory;
  const asked = row.usage?.memory_asked;
  if (used === null || used === undefined) {
    return '';
  }
  return asked ? trans.__('%1 of %2', bytes(used), bytes(asked)) : bytes(used);
}

/** Return the words that show at a glance what happens to a job. */
export function stateWord(row: IRow, trans: TranslationBundle): string {
  const words: Record<string, string> = {
    PENDING: trans.__('waits'),
    HELD: trans.__('held'),
    RUNNING: trans.__('runs'),
    SUSPENDED: trans.__('suspended'),
    COMPLETING: trans.__('ends'),
    COMPLETED: trans.__('done'),
    FAILED: trans.__('failed'),
    CANCELLED: trans.__('cancelled'),
    TIMEOUT: trans.__('time over'),
    OUT_OF_MEMORY: trans.__('out of memory'),
    NODE_FAIL: trans.__('node failed'),
    PREEMPTED: trans.__('preempted')
  };
  if (!row.state) {
    return row.ended ? trans.__('ended') : trans.__('submitted');
  }
  return words[row.state] ?? trans.__('unknown');
}

/** Return what people call a job. */
export function nameOf(row: IRow, trans: TranslationBundle): string {
  if (row.kind === 'server') {
    return trans.__('this server');
  }
  if (row.kind === 'executor' && row.name === 'functions') {
    return trans.__('Executor');
  }
  if (row.parent || !row.name) {
    return trans.__('job %1', row.job_id);
  }
  return row.kind === 'kernel' ? row.name.replace(/^kernel /, '') : row.name;
}

/** Return since when, until when, or when at the earliest. */
export function timeOf(row: IRow, now: number, trans: TranslationBundle): string {
  if (row.ended) {
    return row.until ? trans.__('ended at %1', moment(row.until)) : '';
  }
  if (row.started) {
    const left = row.until ? row.until - now : null;
    return left !== null
      ? trans.__('%1 left', duration(left, trans))
      : trans.__('for %1', duration(now - row.started, trans));
  }
  if (row.expected) {
    return trans.__('expected at %1', moment(row.expected));
  }
  return row.submitted ? trans.__('for %1', duration(now - row.submitted, trans)) : '';
}
