/** Why a file cannot be written, in words, by the code of the failed system call. */
export const writeReasons: Readonly<Record<string, string>> = {
  ENOSPC: "the disk is full",
  EDQUOT: "the disk quota is used up",
  EROFS: "the file system is read-only",
  EACCES: "permission denied",
  EPERM: "permission denied",
  EFBIG: "the file would be larger than allowed",
  ENOTDIR: "a part of its path is not a directory",
  ENAMETOOLONG: "its name is too long",
};
