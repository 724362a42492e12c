// Makes and checks layers with tables of contents, with the library of stargz-snapshotter.
//
//	estargz build TAR OUT      writes the layer; prints the digests of its table and of its tar
//	estargz verify LAYER TOC   fails unless the table has that digest, and every file the one that the table says
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/containerd/stargz-snapshotter/estargz"
	"github.com/opencontainers/go-digest"
)

func section(path string) (*io.SectionReader, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	stat, err := file.Stat()
	if err != nil {
		return nil, err
	}
	return io.NewSectionReader(file, 0, stat.Size()), nil
}

func build(from, to string) error {
	tar, err := section(from)
	if err != nil {
		return err
	}
	blob, err := estargz.Build(tar)
	if err != nil {
		return err
	}
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, blob); err != nil {
		return err
	}
	if err := blob.Close(); err != nil {
		return err
	}
	facts := map[string]string{"toc": blob.TOCDigest().String(), "diffId": blob.DiffID().String()}
	if err := json.NewEncoder(os.Stdout).Encode(facts); err != nil {
		return err
	}
	return out.Close()
}

func verify(path, toc string) error {
	layer, err := section(path)
	if err != nil {
		return err
	}
	wanted, err := digest.Parse(toc)
	if err != nil {
		return err
	}
	reader, err := estargz.Open(layer)
	if err != nil {
		return err
	}
	verifier, err := reader.VerifyTOC(wanted)
	if err != nil {
		return err
	}
	root, _ := reader.Lookup("")
	return check(reader, verifier, root, "")
}

// check reads every file below a directory and compares its digest with the table's.
func check(reader *estargz.Reader, verifier estargz.TOCEntryVerifier, entry *estargz.TOCEntry, path string) error {
	var failed error
	entry.ForeachChild(func(name string, child *estargz.TOCEntry) bool {
		path := path + "/" + name
		switch child.Type {
		case "dir":
			failed = check(reader, verifier, child, path)
		case "reg":
			failed = file(reader, verifier, child, path)
		}
		return failed == nil
	})
	return failed
}

func file(reader *estargz.Reader, verifier estargz.TOCEntryVerifier, entry *estargz.TOCEntry, path string) error {
	if entry.Size == 0 {
		return nil
	}
	content, err := reader.OpenFile(path[1:])
	if err != nil {
		return err
	}
	for offset := int64(0); offset < entry.Size; {
		chunk, ok := reader.ChunkEntryForOffset(path[1:], offset)
		if !ok {
			return fmt.Errorf("%s: the table has no chunk at %d", path, offset)
		}
		size := chunk.ChunkSize
		if size == 0 {
			size = entry.Size - offset
		}
		check, err := verifier.Verifier(chunk)
		if err != nil {
			return err
		}
		if _, err := io.Copy(check, io.NewSectionReader(content, offset, size)); err != nil {
			return err
		}
		if !check.Verified() {
			return fmt.Errorf("%s: the chunk at %d is not what the table says", path, offset)
		}
		offset += size
	}
	return nil
}

func main() {
	var err error
	switch {
	case len(os.Args) == 4 && os.Args[1] == "build":
		err = build(os.Args[2], os.Args[3])
	case len(os.Args) == 4 && os.Args[1] == "verify":
		err = verify(os.Args[2], os.Args[3])
	default:
		err = fmt.Errorf("usage: %s build|verify FILE WHAT", os.Args[0])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
