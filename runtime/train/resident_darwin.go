package train

// residentNow would be the resident memory of the process; macOS has no file that says it.
func residentNow() int64 { return 0 }

// mostResident would be the most of it since forgetResident.
func mostResident() int64 { return 0 }

func forgetResident() {}
