package main

import (
	"errors"
	"time"

	"github.com/bytedance/sonic"
	"github.com/bytedance/sonic/decoder"
)

// sent is an event as the shop sends it. A number that is missing, null or of another type leaves
// what is there.
type sent struct {
	EventID   *string `json:"event_id"`
	UserID    *string `json:"user_id"`
	ProductID *string `json:"product_id"`
	Category  *string `json:"category"`
	EventType *string `json:"event_type"`
	Price     float64 `json:"price"`
	Quantity  int64   `json:"quantity"`
	Timestamp *string `json:"timestamp"`
}

// row is what becomes of it; nil is NULL.
type row struct {
	eventID, userID      string
	productID            *string
	category             string
	eventType, timestamp *string
	price                float64
	quantity             int64
}

// toRow fills what is missing; false where the event must be dropped.
func toRow(value []byte) (row, bool) {
	event := sent{Price: 0, Quantity: 1}
	if err := sonic.ConfigFastest.Unmarshal(value, &event); err != nil && !mismatched(err) {
		return row{}, false
	}
	if product := event.ProductID; product != nil {
		if event.UserID == nil {
			user := "guest_" + *product
			event.UserID = &user
		}
		if event.Category == nil {
			category := "category_" + firstTwo(*product)
			event.Category = &category
		}
	}
	if event.EventID == nil || event.UserID == nil || event.Category == nil {
		return row{}, false
	}
	return row{
		eventID: *event.EventID, userID: *event.UserID, productID: event.ProductID,
		category: *event.Category, eventType: event.EventType, timestamp: toUTC(event.Timestamp),
		price: event.Price, quantity: event.Quantity,
	}, true
}

// mismatched says whether a value was of another type: all others have been read.
func mismatched(err error) bool {
	var mismatch *decoder.MismatchTypeError
	return errors.As(err, &mismatch)
}

// firstTwo returns a text's first two characters.
func firstTwo(text string) string {
	count := 0
	for end := range text {
		if count == 2 {
			return text[:end]
		}
		count++
	}
	return text
}

// toUTC returns an ISO timestamp as MySQL takes it, fraction included; nil where it is none.
func toUTC(timestamp *string) *string {
	if timestamp == nil {
		return nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02 15:04:05Z07:00", "2006-01-02T15:04:05", time.DateTime} {
		if moment, err := time.Parse(layout, *timestamp); err == nil {
			text := moment.UTC().Format("2006-01-02 15:04:05.999999")
			return &text
		}
	}
	return nil
}
