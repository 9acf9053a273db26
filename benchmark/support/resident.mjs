import { existsSync, readFileSync } from 'node:fs';

const STATUS = '/proc/self/status';

/**
 * The most resident memory that this process has had, in MB. Of Linux it is asked in another way, because there
 * `maxRSS` also counts what the process that started this one had.
 */
export function highestResident() {
  const told = existsSync(STATUS) && /^VmHWM:\s+(\d+) kB/m.exec(readFileSync(STATUS, 'latin1'));
  return (told ? Number(told[1]) : process.resourceUsage().maxRSS) / 1024;
}
