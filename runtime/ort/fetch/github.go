package fetch

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"

	"mixr/runtime/download"
)

// github downloads the project's own release. It goes on from a partial file, also one that an earlier process left.
func (f *finder) github(ctx context.Context, p pin, lib string) error {
	s := p.github
	archive := filepath.Join(filepath.Dir(lib), s.name)
	f.log("GitHub: fetching %s, %s", s.name, download.Megabytes(s.size))
	if err := f.download(ctx, f.release+"/"+s.name, archive+partial, s.size); err != nil {
		return err
	}
	if err := os.Rename(archive+partial, archive); err != nil {
		return err
	}
	defer os.Remove(archive) // installed, or wrong: a partial file of a wrong one would never become right
	return install(archive, s, lib)
}

// download brings the URL from to the file part, of size bytes. Each tenth of it is logged as it passes.
func (f *finder) download(ctx context.Context, from, part string, size int64) error {
	client := download.Client{Pause: f.pause, Stall: f.stall, Log: func(format string, args ...any) { f.log("GitHub: "+format, args...) }}
	tenths := int64(0)
	return client.File(ctx, download.File{
		Name: from, Part: part, Size: size,
		Ask: func(ctx context.Context, header http.Header) (*http.Response, error) {
			resp, err := client.Do(ctx, f.client, http.MethodGet, from, header)
			if err != nil || resp.StatusCode < 300 || resp.StatusCode == http.StatusRequestedRangeNotSatisfiable {
				return resp, err
			}
			resp.Body.Close()
			err = errors.New(resp.Status)
			if resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests {
				err = download.Passing{Err: err}
			}
			return nil, err
		},
		Tell: func(done int64) {
			if now := done * 10 / size; now > tenths {
				f.log("GitHub: %s of %s", download.Megabytes(done), download.Megabytes(size))
				tenths = now
			}
		},
	})
}
