package train

import (
	"os"
	"strconv"
	"strings"
)

// residentNow is the resident memory of the process in bytes; 0 where the system does not say.
func residentNow() int64 { return statusOf("VmRSS:") }

// mostResident is the most that it was since it began, or since forgetResident; 0 where the system does not say.
func mostResident() int64 { return statusOf("VmHWM:") }

// forgetResident lets mostResident begin anew, where the system allows it.
func forgetResident() {
	_ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) // refused in some containers: then peaks are those of all phases so far
}

func statusOf(key string) int64 {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, key); ok {
			kb, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			if err != nil {
				return 0
			}
			return kb << 10
		}
	}
	return 0
}
