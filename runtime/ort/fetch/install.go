package fetch

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/google/renameio/v2"
)

// install checks an archive, takes the library out of it and puts it at lib.
func install(archive string, s source, lib string) error {
	if s.archive != "" {
		if err := wantSum(archive, s.archive); err != nil {
			return err
		}
	}
	in, err := openMember(archive, s.member)
	if err != nil {
		return fmt.Errorf("%s: %w", archive, err)
	}
	defer in.Close()
	out, err := renameio.NewPendingFile(lib, renameio.WithPermissions(0o644))
	if err != nil {
		return err
	}
	defer out.Cleanup() // a no-op after the replacement
	h := sha256.New()
	if _, err := io.Copy(io.MultiWriter(out, h), in); err != nil {
		return fmt.Errorf("%s: unpack %s: %w", archive, s.member, err)
	}
	sum := hex.EncodeToString(h.Sum(nil))
	if s.library != "" && sum != s.library {
		return fmt.Errorf("%s in %s has checksum %s, want %s: it is not used", s.member, archive, sum, s.library)
	}
	// The sum goes first: without the library beside it, it says nothing.
	if err := renameio.WriteFile(sumFile(lib), []byte(sumLine(sum, lib)), 0o644); err != nil {
		return err
	}
	return out.CloseAtomicallyReplace() // syncs, then renames
}

// sumFile is the file beside a library that holds its checksum, in the form that sha256sum -c reads.
func sumFile(lib string) string { return lib + ".sha256" }

func sumLine(sum, lib string) string { return sum + "  " + filepath.Base(lib) + "\n" }

// Sum is the sha256 of a file, in hex: what tells one build of the library from another.
func Sum(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// wantSum refuses a file with another checksum.
func wantSum(name, want string) error {
	got, err := Sum(name)
	if err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("%s has checksum %s, want %s: it is not used", name, got, want)
	}
	return nil
}

// openMember opens one file of a .tgz or of a zip archive, which is what a .whl is.
func openMember(archive, member string) (io.ReadCloser, error) {
	if strings.HasSuffix(archive, ".whl") {
		return openZip(archive, member)
	}
	return openTar(archive, member)
}

// parts reads from the first and closes all.
type parts struct {
	io.Reader
	closers []io.Closer
}

func (p parts) Close() error {
	var err error
	for _, c := range p.closers {
		err = errors.Join(err, c.Close())
	}
	return err
}

func openZip(archive, member string) (io.ReadCloser, error) {
	z, err := zip.OpenReader(archive)
	if err != nil {
		return nil, err
	}
	for _, f := range z.File {
		if f.Name != member {
			continue
		}
		r, err := f.Open()
		if err != nil {
			return nil, errors.Join(err, z.Close())
		}
		return parts{r, []io.Closer{r, z}}, nil
	}
	return nil, errors.Join(fmt.Errorf("there is no %s in it", member), z.Close())
}

func openTar(archive, member string) (io.ReadCloser, error) {
	f, err := os.Open(archive)
	if err != nil {
		return nil, err
	}
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	r := tar.NewReader(z)
	for {
		h, err := r.Next()
		if err == io.EOF {
			err = fmt.Errorf("there is no %s in it", member)
		}
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		// Some archives write "./a/b" for "a/b".
		if h.Typeflag == tar.TypeReg && path.Clean(h.Name) == member {
			return parts{r, []io.Closer{z, f}}, nil
		}
	}
}
