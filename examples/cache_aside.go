// Reads rows through a cache (cache-aside): GET, else SELECT and SET with a time to live.
//
// What changes deletes the keys: see docs/recipes.md for the triggers. A reader that is late may store an old value,
// which stays until its time is over; docs/leases.md prevents that. Needs the modules github.com/redis/go-redis/v9 and
// github.com/lib/pq. Usage: cache_aside ID, with the environment's PGHOST and the like (PGSSLMODE=disable for a server
// without TLS), and REDIS_URL.
package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"strconv"
	"time"

	_ "github.com/lib/pq"
	"github.com/redis/go-redis/v9"
)

const (
	keyPrefix = "" // the option of the foreign server
	ttl       = time.Minute
	timeout   = 200 * time.Millisecond // without an answer of Redis for so long the row is read without it
)

type task struct {
	ID        int     `json:"id"`
	ProjectID *int    `json:"project_id"`
	Title     *string `json:"title"`
}

func connectCache(url string) (*redis.Client, error) {
	options, err := redis.ParseURL(url)
	if err != nil {
		return nil, err
	}
	options.DialTimeout, options.ReadTimeout, options.WriteTimeout = timeout, timeout, timeout
	options.MaxRetries = -1
	return redis.NewClient(options), nil
}

func cached[T any](ctx context.Context, cache *redis.Client, key string, load func(context.Context) (T, error)) (T, error) {
	var value T
	stored, err := cache.Get(ctx, keyPrefix+key).Bytes()
	if err == nil && json.Unmarshal(stored, &value) == nil {
		return value, nil
	}
	isMiss := err == nil || errors.Is(err, redis.Nil)
	value, err = load(ctx)
	if err != nil || !isMiss { // Redis is away
		return value, err
	}
	if text, err := json.Marshal(value); err == nil {
		cache.Set(ctx, keyPrefix+key, text, ttl)
	}
	return value, nil
}

// nil: there is no such row.
func readTask(ctx context.Context, database *sql.DB, number int) (*task, error) {
	var row task
	err := database.QueryRowContext(ctx, "SELECT id, project_id, title FROM tasks WHERE id = $1", number).
		Scan(&row.ID, &row.ProjectID, &row.Title)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return &row, err
}

func run(number int) error {
	ctx := context.Background()
	database, err := sql.Open("postgres", "")
	if err != nil {
		return err
	}
	defer database.Close()
	url := os.Getenv("REDIS_URL")
	if url == "" {
		url = "redis://127.0.0.1:6379/0"
	}
	cache, err := connectCache(url)
	if err != nil {
		return err
	}
	defer cache.Close()
	value, err := cached(ctx, cache, fmt.Sprintf("task:%d", number), func(ctx context.Context) (*task, error) { return readTask(ctx, database, number) })
	if err != nil {
		return err
	}
	text, err := json.Marshal(value)
	fmt.Println(string(text))
	return err
}

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: cache_aside ID")
	}
	number, err := strconv.Atoi(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	if err := run(number); err != nil {
		log.Fatal(err)
	}
}
