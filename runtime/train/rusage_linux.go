package train

// maxrssUnit is what getrusage counts the peak resident size in: kibibytes on Linux, bytes on macOS.
const maxrssUnit = 1024
