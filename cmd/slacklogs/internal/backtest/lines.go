// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package backtest // import "github.com/slacklogs/otelcol-slacklogs/cmd/slacklogs/internal/backtest"

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"io"

	"github.com/klauspost/compress/zstd"
)

// maxLine is how long a line may be: a request of the largest batches is far below it.
const maxLine = 256 << 20

var (
	errTooLong = errors.New("too long")

	gzipMagic = []byte{0x1f, 0x8b}
	zstdMagic = []byte{0x28, 0xb5, 0x2f, 0xfd}
)

// eachLine calls visit for each line that is not empty, with its number. A line that can't be read is an error instead;
// when nothing behind it can be read either, it is the last one. It unpacks gzip and zstd, and what the file exporter
// makes of `compression: zstd`: each line packed by itself, with its length before it. Longer lines than limit it leaves
// out.
func eachLine(r io.Reader, limit int, visit func(number int, line []byte, err error) error) error {
	in := bufio.NewReaderSize(r, 64<<10)
	start, _ := in.Peek(8) // of a shorter file what there is
	switch {
	case bytes.HasPrefix(start, gzipMagic):
		unpacked, err := gzip.NewReader(in)
		if err != nil {
			return visit(1, nil, err)
		}
		return plainLines(bufio.NewReaderSize(unpacked, 64<<10), limit, visit)
	case bytes.HasPrefix(start, zstdMagic):
		unpacked, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(uint64(limit)))
		if err != nil {
			return visit(1, nil, err)
		}
		defer unpacked.Close()
		return plainLines(bufio.NewReaderSize(unpacked, 64<<10), limit, visit)
	case len(start) == 8 && bytes.Equal(start[4:], zstdMagic):
		return packedLines(in, limit, visit)
	}
	return plainLines(in, limit, visit)
}

func plainLines(in *bufio.Reader, limit int, visit func(int, []byte, error) error) error {
	var long []byte // what the reader's buffer does not hold
	for number := 1; ; number++ {
		line, err := in.ReadSlice('\n')
		tooLong := false
		if errors.Is(err, bufio.ErrBufferFull) {
			long = long[:0]
			for errors.Is(err, bufio.ErrBufferFull) {
				if tooLong = tooLong || len(long)+len(line) > limit; !tooLong {
					long = append(long, line...)
				}
				line, err = in.ReadSlice('\n')
			}
			if tooLong = tooLong || len(long)+len(line) > limit; tooLong {
				line = []byte("…") // only that there is something
			} else {
				long = append(long, line...)
				line = long
			}
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return visit(number, nil, err)
		}
		failed := error(nil)
		if tooLong {
			failed = errTooLong
		}
		if line = bytes.TrimSpace(line); len(line) > 0 {
			if err := visit(number, line, failed); err != nil {
				return err
			}
		}
		if err != nil {
			return nil
		}
	}
}

func packedLines(in *bufio.Reader, limit int, visit func(int, []byte, error) error) error {
	unpack, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(uint64(limit)))
	if err != nil {
		return err
	}
	defer unpack.Close()
	var line []byte
	for number := 1; ; number++ {
		var size [4]byte
		switch _, err := io.ReadFull(in, size[:]); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return visit(number, nil, err)
		}
		n := binary.BigEndian.Uint32(size[:])
		if int64(n) > int64(limit) {
			return visit(number, nil, errTooLong)
		}
		// Not made before it is known to be there: the length may be nonsense.
		var read bytes.Buffer
		if _, err := io.CopyN(&read, in, int64(n)); err != nil {
			return visit(number, nil, io.ErrUnexpectedEOF)
		}
		line, err = unpack.DecodeAll(read.Bytes(), line[:0])
		if err := visit(number, bytes.TrimSpace(line), err); err != nil {
			return err
		}
	}
}
