/** What SQLite and the file system say, as failures of the catalogue. */
import { Refusal, refuse, type WireError } from '../../../shared/errors.ts';

/** A `store_unavailable` that names the cause; `database_newer` and other refusals pass through. */
export function storeFailure(caught: unknown, file: string): WireError {
  if (caught instanceof Refusal) return caught.wire;
  const { code = '', message = String(caught) } = caught as { code?: string; message?: string };
  const [what, hint] = cause(code, message);
  return refuse('store_unavailable', `The database ${what} (${file}).`, { hint });
}

function cause(code: string, message: string): [what: string, hint: string] {
  if (/^SQLITE_(BUSY|LOCKED)/.test(code)) return ['is locked by another process', 'End the other program that holds it, then try again.'];
  if (/^SQLITE_FULL|^SQLITE_IOERR_SHM|^ENOSPC|^EDQUOT/.test(code))
    return ['cannot grow: the disk is full', 'Free some space; nothing was half-written.'];
  if (/^SQLITE_READONLY|^EROFS|^EACCES|^EPERM/.test(code) || /readonly/.test(message))
    return ['is read-only', 'Make the file and its folder writable for this user.'];
  if (/^SQLITE_(CORRUPT|NOTADB)/.test(code))
    return ['is damaged or is not a database', 'Restore a copy, or move the file away to start a new one.'];
  if (/^SQLITE_CANTOPEN|^ENOENT|^ENOTDIR|^EISDIR/.test(code) || /directory does not exist/.test(message))
    return ['cannot be opened', 'Check that the folder exists and may be written to.'];
  if (/^SQLITE_IOERR|^EIO/.test(code)) return ['cannot be read or written: the disk reports a fault', 'Check the disk.'];
  return [`cannot be used: ${message}`, 'The log has the details; please report it.'];
}
