package main

import (
	"bytes"
	"context"
	"database/sql"
	"io"
	"strconv"

	"github.com/go-sql-driver/mysql"
)

const columns = "(event_id, user_id, product_id, category, event_type, price, quantity, revenue, ts)"

// format is a way to send rows to the database.
type format struct {
	// sqlMode of the session: it decides what must be escaped.
	sqlMode string
	// rows that one statement takes.
	rows               int
	head, begin, end   string
	between, separator byte
	text               func([]byte, *string) []byte
	send               func(context.Context, *sql.Tx, []byte) error
}

var formats = map[string]format{
	"text": {
		sqlMode: "'STRICT_ALL_TABLES,NO_BACKSLASH_ESCAPES'",
		rows:    2_000,
		head:    "INSERT INTO flash_sale_events " + columns + " VALUES ",
		begin:   "(", between: ',', end: ")", separator: ',',
		text: quoted,
		send: insert,
	},
	"load": {
		sqlMode: "'STRICT_ALL_TABLES'",
		rows:    batchSize,
		between: '\t', separator: '\n',
		text: escaped,
		send: load,
	},
}

// statements encodes rows, as many together as one statement takes.
func (f *format) statements(rows []row) [][]byte {
	var made [][]byte
	for len(rows) > 0 {
		size := min(f.rows, len(rows))
		made = append(made, f.encode(rows[:size]))
		rows = rows[size:]
	}
	return made
}

func (f *format) encode(rows []row) []byte {
	b := make([]byte, 0, len(f.head)+160*len(rows))
	b = append(b, f.head...)
	for i := range rows {
		r := &rows[i]
		if i > 0 {
			b = append(b, f.separator)
		}
		b = append(b, f.begin...)
		for _, text := range [...]*string{&r.eventID, &r.userID, r.productID, &r.category, r.eventType} {
			b = append(f.text(b, text), f.between)
		}
		b = append(strconv.AppendFloat(b, r.price, 'g', -1, 64), f.between)
		b = append(strconv.AppendInt(b, r.quantity, 10), f.between)
		b = append(strconv.AppendFloat(b, r.price*float64(r.quantity), 'g', -1, 64), f.between)
		b = append(f.text(b, r.timestamp), f.end...)
	}
	return b
}

// quoted appends a literal of SQL; with NO_BACKSLASH_ESCAPES only quotes are doubled.
func quoted(b []byte, text *string) []byte {
	if text == nil {
		return append(b, "NULL"...)
	}
	b = append(b, '\'')
	for i := range len(*text) {
		if (*text)[i] == '\'' {
			b = append(b, '\'')
		}
		b = append(b, (*text)[i])
	}
	return append(b, '\'')
}

// escaped appends a value as LOAD DATA reads it.
func escaped(b []byte, text *string) []byte {
	if text == nil {
		return append(b, `\N`...)
	}
	for i := range len(*text) {
		switch (*text)[i] {
		case '\\', '\t', '\n':
			b = append(b, '\\')
		}
		b = append(b, (*text)[i])
	}
	return b
}

func insert(ctx context.Context, tx *sql.Tx, statement []byte) error {
	_, err := tx.ExecContext(ctx, string(statement))
	return err
}

func load(ctx context.Context, tx *sql.Tx, rows []byte) error {
	mysql.RegisterReaderHandler("rows", func() io.Reader { return bytes.NewReader(rows) })
	defer mysql.DeregisterReaderHandler("rows")
	_, err := tx.ExecContext(ctx, "LOAD DATA LOCAL INFILE 'Reader::rows' INTO TABLE"+
		" flash_sale_events CHARACTER SET utf8mb4 "+columns)
	return err
}
