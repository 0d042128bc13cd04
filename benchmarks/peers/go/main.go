// A loop by hand: franz-go, sonic, go-sql-driver. One goroutine reads and encodes, another writes;
// offsets are committed after the rows.
//
// Its argument says how rows are sent: text (INSERTs of many rows) or load (LOAD DATA LOCAL).
package main

import (
	"context"
	"database/sql"
	"log"
	"net/url"
	"os"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	// batchSize is how many rows a transaction adds.
	batchSize = 20_000
	// patience is how long a smaller one waits for more.
	patience = time.Second
)

// batch is what one transaction stores, and the events it comes of.
type batch struct {
	statements [][]byte
	records    []*kgo.Record
}

func main() {
	format, known := formats[os.Args[1]]
	if !known {
		log.Fatalf("%s is no way to send rows", os.Args[1])
	}
	client, err := kgo.NewClient(
		kgo.SeedBrokers(os.Getenv("KAFKA")),
		kgo.ConsumerGroup(os.Getenv("CONSUMER_GROUP")),
		kgo.ConsumeTopics(os.Getenv("TOPIC")),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.DisableAutoCommit(),
		kgo.MaxBufferedRecords(2*batchSize),
	)
	must(err)
	batches := make(chan batch)
	go write(client, connect(&format), &format, batches)
	read(client, &format, batches)
}

// read encodes batches while the one before is written.
func read(client *kgo.Client, format *format, batches chan<- batch) {
	for {
		records := poll(client)
		rows := make([]row, 0, len(records))
		for _, record := range records {
			if row, good := toRow(record.Value); good {
				rows = append(rows, row)
			}
		}
		batches <- batch{format.statements(rows), records}
	}
}

// poll returns a full batch, or what has come when patience is over.
func poll(client *kgo.Client) []*kgo.Record {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var records []*kgo.Record
	for len(records) < batchSize && ctx.Err() == nil {
		fetches := client.PollRecords(ctx, batchSize-len(records))
		fetches.EachError(func(topic string, partition int32, err error) {
			if ctx.Err() == nil {
				log.Fatalf("%s/%d: %v", topic, partition, err)
			}
		})
		records = append(records, fetches.Records()...)
	}
	return records
}

func write(client *kgo.Client, database *sql.DB, format *format, batches <-chan batch) {
	ctx := context.Background()
	for batch := range batches {
		if len(batch.records) == 0 {
			continue
		}
		transaction, err := database.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
		must(err)
		for _, statement := range batch.statements {
			must(format.send(ctx, transaction, statement))
		}
		must(transaction.Commit())
		must(client.CommitRecords(ctx, batch.records...))
	}
}

func connect(format *format) *sql.DB {
	address, err := url.Parse(os.Getenv("DATABASE_URL"))
	must(err)
	config := mysql.NewConfig()
	config.Net, config.Addr, config.DBName = "tcp", address.Host, address.Path[1:]
	config.User = address.User.Username()
	config.Passwd, _ = address.User.Password()
	config.Params = map[string]string{"time_zone": "'+00:00'", "sql_mode": format.sqlMode}
	connector, err := mysql.NewConnector(config)
	must(err)
	return sql.OpenDB(connector)
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
