/**
 * Requests people make, as small grammars, for the benchmark of the operator. One intent a line: its name, then phrases
 * between semicolons. `(a|b|)` picks one, `{slot}` is filled from a list. Many intents are close neighbours on purpose.
 */

export const INTENTS = `
bank.balance | how much (money|cash) do i have (left|) in my {account}; what is my {account} balance; (show|tell) me my balance; am i broke; what's in my {account} right now; is there enough in {account} to cover {amount}
bank.transfer | (move|transfer|send) {amount} from {account} to {account}; i (want|need) to put {amount} into {account}; make a transfer (between accounts|); shift money over to {account}; can you wire {amount} to {person}
bank.pay_bill | pay (my|the) {bill} bill; i need to pay for {bill}; settle the {bill} invoice from {account}; take care of my {bill} payment; can you pay what i owe on {bill}
bank.bill_due | when is (my|the) {bill} bill due; what day do i have to pay {bill}; is my {bill} payment late; due date for {bill}; how long until i must pay the {bill} company
bank.bill_amount | how much is my {bill} bill; what do i owe for {bill} (this month|); total of the {bill} bill; how high is the {bill} payment (due|) this time
bank.spending | how much did i spend on {goods} {period}; what have my expenses been {period}; show my spending habits; where does my money go; did i use a lot of money on {goods} {period}
bank.history | (list|show) my (last|recent) transactions; what was my last purchase; what did i buy {period}; transactions on {account} {period}; read me the activity on my card
bank.freeze | (freeze|block|lock) my {account} (account|); put a hold on my account; stop all activity on {account}; i want nobody to be able to use {account}; temporarily disable my bank account
bank.blocked | why is my account (blocked|frozen|locked); is there a hold on {account}; what is the reason my {account} was frozen; my account seems to be blocked and i don't know why
bank.routing | what is (my|the) routing number; routing number for {bank}; which number do i give for direct deposits at {bank}; i need the routing code of my {account}
bank.pin | (change|reset) my pin; i forgot my (card|) pin (number|); set a new pin for {account}; my pin doesn't work any more; how do i pick another pin
bank.interest | what is the interest rate on {account}; how much interest do i (earn|get) with {account}; current rate for savings at {bank}; how good is the interest i am getting
bank.minimum | what is the minimum payment on my {bill}; least amount i can pay for {bill}; smallest payment i need to make this month; how little may i pay on the {bill}
bank.checks | order (more|new) checks; i am out of checks; where do i get a new checkbook; send me a book of checks for {account}
bank.fraud | there is a (charge|transaction) i don't recognize; somebody used my card at {shop}; report fraud on {account}; i think my card was used without my permission; that {amount} purchase wasn't me
card.lost | i (lost|can't find) my (credit|debit|) card; my card was stolen; report a missing card; my wallet with the cards is gone; i left my card at {shop} and it's not there any more
card.damaged | my card is (damaged|broken|bent); the chip on my card doesn't work; my dog chewed my card; the strip on my debit card is scratched; card cracked in half
card.declined | why was my card declined (at {shop}|); my card did not go through {period}; the payment at {shop} got rejected; card not accepted at {shop}
card.limit | what's my credit limit; how much can i charge on my card; limit on the {bank} card; how far can i go with my credit card
card.raise_limit | (raise|increase) my credit limit; i need a higher limit on my {bank} card; can my limit go up to {amount}; ask for more credit on my card
card.apply | i want to (apply for|open) a new credit card; how do i sign up for a {bank} card; application for a credit card; get me a new card with {bank}
card.replace_time | how long until my new card (arrives|comes); when will the replacement card get here; is my new card in the mail; my card has still not arrived
card.activate | activate my (new|) card; i got my card in the mail, how do i switch it on; my new {bank} card needs activation; make the new card work
card.international_fee | are there fees if i use my card in {city}; what does the card cost abroad; foreign transaction fee for {bank}; will i be charged extra in {city}
card.rewards | how many (points|rewards) do i have; my rewards balance on the {bank} card; what can i get for my points; points earned on {goods}
card.redeem | redeem my points; i want to use my rewards for {goods}; cash in my card points; trade rewards for a gift card
credit.score | what is my credit score; how good is my credit rating; check my credit score; tell me my credit
credit.improve | how can i improve my credit score; what makes a credit rating go up; ways to get better credit; fix my bad credit
tax.refund | where is my tax refund; when will i get the money back from taxes; status of my (tax|) return; has my refund been sent
tax.form | where do i find my w2; i need the tax form from work; send me my 1099; tax papers for {period}
travel.flight_book | book a flight from {city} to {city}; find (me|) a plane to {city} {day}; i need to fly to {city} on {day}; get tickets for a flight to {city}; cheapest way to fly from {city} to {city}
travel.flight_status | is flight {code} (on time|delayed); when does my flight (land|board|leave); status of flight {code}; has the plane from {city} arrived; what gate is my flight at
travel.luggage | what is the baggage limit on {airline}; how many bags may i check with {airline}; can i take {goods} in my carry on; weight limit for a suitcase on {airline}
travel.lost_luggage | {airline} lost my (bag|suitcase|luggage); my luggage did not arrive in {city}; where is my suitcase; how do i track down my missing bags
travel.hotel_book | book (a room|a hotel) in {city} (from {day}|); find me a place to stay in {city}; reserve a hotel near the {place} for {number} nights; i need a room for {day}; good hotel with a pool in {city}
travel.hotel_cancel | cancel my (hotel|room) reservation in {city}; i don't need the hotel any more; call off my stay at the {hotel}; undo the booking for the room in {city}
travel.car_rental | rent a car in {city}; i need a rental car from {day} to {day}; get me a (suv|van|small car) for {number} days; car hire at the {city} airport
travel.visa | do i need a visa for {city}; what visa must i get to visit {country}; can i go to {country} without a visa; visa rules in {country}
travel.vaccines | which shots do i need for {country}; what vaccines are required before going to {country}; do i have to get vaccinated to travel to {country}
travel.plug | what kind of plug do they use in {country}; do i need an adapter in {country}; will my charger fit the sockets in {city}; outlet converter for {country}
travel.exchange | what's the exchange rate (of|for) {currency} (to|in) {currency}; how many {currency} do i get for {amount}; convert {amount} to {currency}; is {currency} worth more than {currency}
travel.carry_on | can i bring {goods} on the plane; are liquids allowed in hand luggage on {airline}; carry on rules for {airline}; how big may a carry on be
travel.suggest | what should i see in {city}; things to do in {city}; what is there to visit around {city}; fun places for tourists in {country}
travel.alert | is it safe to travel to {country}; are there travel warnings for {country}; any danger in {city} for tourists; what is the security situation in {country}
travel.timezone | what time zone is {city} in; how many hours ahead is {city}; time difference between {city} and {city}; which timezone do they use in {country}
travel.upgrade | upgrade my seat on flight {code}; can i get into business class to {city}; i would like a better seat on my flight; move me to first class
travel.train | when does the next train to {city} leave; book a train ticket to {city}; train from {city} to {city} {day}; how long is the train ride to {city}
road.directions | how do i get to {place}; give me directions to {place}; navigate to {place}; what's the best way to {place}; take me to {place}
road.distance | how far is {place} from here; how long does it take to get to {place}; distance between {city} and {city}; how many miles to {city}
road.traffic | how is the traffic (to {place}|) right now; are there any jams on the way to {place}; is there an accident on the highway; will traffic make me late to {place}
road.gas | how much gas do i have; is my tank full; fuel level; do i have enough gas to reach {city}; how many miles until empty
road.gas_type | what kind of gas does my car take; does my car need premium; which fuel do i put in; regular or diesel for this car
road.tire_pressure | what is the air pressure in my tires; do my tires need air; check tire pressure; are the tires flat
road.tire_change | how do i change a tire; i have a flat and need to put on the spare; steps to swap a wheel; help me replace a tire
road.oil_how | how do i change the oil in my car; steps for an oil change; teach me to do my own oil change
road.oil_when | when is my next oil change due; how long has it been since my last oil change; does my car need new oil; is it time for an oil change
road.service | schedule (car|) maintenance (for {day}|); my car needs to be checked by a mechanic; make an appointment at the garage; bring the car in for service {day}
road.jump | how do i jump start a car; my battery is dead what now; how to use jumper cables; start the car from another battery
road.uber | (call|get|order) (an uber|a taxi|a cab|a ride) to {place}; i need a ride to {place}; find me a driver to {place}; have a car pick me up at {time}
road.parking | find parking near {place}; where can i leave my car around {place}; is there a garage close to {place}; how much is parking at {place}
road.insurance | what does my car insurance cover; show my insurance card; do i have coverage for {thing}; details of my insurance plan
road.insurance_change | change my insurance (policy|plan); i want to switch to another insurance; add {person} to my insurance; new insurance plan please
food.recipe | how do i (make|cook) {dish}; recipe for {dish}; what do i need to do to prepare {dish}; teach me to cook {dish}; find a good way of making {dish}
food.ingredients | what are the ingredients (of|in|for) {dish}; what goes into {dish}; do i need {food} for {dish}; what should i buy to make {dish}
food.cook_time | how long (should|do) i (cook|bake|boil) {food}; cooking time for {dish}; when will the {food} be done; how many minutes does {food} need in the oven
food.substitute | what can i use instead of {food}; is it ok to replace {food} with {food}; substitute for {food}; i ran out of {food}, will {food} do
food.calories | how many calories are in {food}; is {food} fattening; calories of {dish}; how much energy has one {food}
food.nutrition | is {food} healthy; nutrition facts for {dish}; how much (protein|sugar|fat|salt) does {food} have; what vitamins are in {food}
food.spoiled | is {food} still good after {number} days; how long does {food} last in the fridge; can i eat {food} from last week; when does {food} go bad
food.restaurant | find a (good|) restaurant for {dish} (in {city}|); where can i eat {dish} near {place}; suggest somewhere to have dinner; places that serve {dish}; what {cuisine} places are around
food.reserve | book a table for {number} at {restaurant}; reserve dinner at {restaurant} for {day}; get us a table at {time}; make a reservation at {restaurant} under {person}
food.cancel_reserve | cancel my (table|dinner reservation) at {restaurant}; we won't come to {restaurant} on {day}, cancel it; i don't need the table any more; call off dinner at {restaurant}
food.confirm_reserve | is my reservation at {restaurant} confirmed; do i have a table at {restaurant} on {day}; check that dinner is booked for {time}; confirm our table for {number}
food.accept_reserve | does {restaurant} take reservations; can i book ahead at {restaurant}; do you need a reservation to eat at {restaurant}; is it possible to reserve at {restaurant}
food.wait | how long is the wait at {restaurant}; is {restaurant} busy now; how many people are waiting for a table at {restaurant}; will we have to stand in line at {restaurant}
food.review | is {restaurant} any good; what do people say about {restaurant}; reviews of {restaurant}; how many stars has {restaurant}
food.suggest_meal | what should i cook {day}; suggest a {cuisine} meal; give me an idea for dinner; i am hungry, what could i eat; something tasty to make
food.order | order (a|) {dish} (from {restaurant}|); get {dish} delivered; i want {dish} brought to my home; place an order at {restaurant} for {number}
food.order_status | where is my food; has {restaurant} sent out my order; when will my {dish} arrive; how is my delivery coming along
list.shopping_add | (put|add) {food} (on|to) my shopping list; we need {food}, add it to the list; remember to buy {food}; i am out of {food}, put it on the grocery list
list.shopping_show | what's on my shopping list; read (me|) the grocery list; is {food} on my shopping list; what do i need from the store
list.shopping_clear | (clear|delete) my shopping list; remove {food} from the grocery list; take {food} off the list; i bought everything on the shopping list
list.todo_add | add {task} to my to do list; i have to {task}, put it on my list; new task {task}; make {task} a todo
list.todo_show | what's on my to do list; which tasks are left; what do i still have to do {day}; read me my todos
list.todo_clear | i did {task}, check it off; remove {task} from my todo list; empty my to do list; mark {task} as done
list.reminder_set | remind me to {task} (at {time}|on {day}|); set a reminder for {task}; don't let me forget to {task}; i need a reminder to {task} {day}
list.reminder_show | what reminders do i have; what was i supposed to remember; show my reminders for {day}; did i set a reminder to {task}
time.now | what time is it (in {city}|); tell me the time; current time in {city}; do you have the time
time.date | what's the date (today|tomorrow|); what day is it; which date is {day}; today's date
time.alarm | set an alarm for {time}; wake me up at {time} {day}; i need to get up at {time}; alarm in {number} hours
time.alarm_off | turn off (my|the) alarm; cancel the {time} alarm; i don't need to be woken {day}; delete all alarms
time.timer | set a timer for {number} minutes; count down {number} minutes; start a {number} minute timer; time {number} minutes for the {food}
time.calendar_show | what's on my calendar (for {day}|); do i have anything {day}; my schedule for {day}; am i free at {time} {day}; what are my plans {day}
time.calendar_add | put {event} on my calendar (for {day}|); add {event} at {time} to my schedule; create an event for {event}; i have {event} on {day}, write it down
time.calendar_remove | delete {event} from my calendar; take {event} off my schedule; {event} is not happening, remove it; clear my calendar for {day}
time.meeting | schedule a meeting with {person} (on {day}|at {time}|); set up a meeting for {time}; arrange to meet {person} {day}; get {person} into a meeting room {day}
time.meeting_show | when is my (next|) meeting with {person}; how many meetings do i have {day}; what meetings are coming up; do i meet {person} {day}
time.holiday | when is {holiday}; how many days until {holiday}; what date does {holiday} fall on; next public holiday
work.pto_ask | i (want|would like) to take {day} off; request vacation from {day} to {day}; put in a leave request for {day}; can i have time off for {event}
work.pto_balance | how many vacation days do i have (left|); how much pto have i got; days off remaining; my leave balance
work.pto_used | how many days off have i used (so far|); how much vacation did i take {period}; pto days taken {period}
work.pto_status | was my vacation (request|) approved; status of my time off request for {day}; did my boss agree to my leave; is my leave for {day} accepted
work.payday | when do i get paid; next payday; when is my paycheck coming; has my salary been paid
work.income | how much do i earn; what's my salary; what is my income for {period}; how much do i make a {period}
work.direct_deposit | set up direct deposit; have my paycheck sent to {bank}; i want my salary in my {account}; how does direct deposit work here
work.retire | how is my 401k doing; how much is in my retirement fund; retirement savings balance; my pension account
work.rollover | roll over my 401k; move my old retirement plan to the new one; what happens to my 401k when i change jobs; transfer my pension to {bank}
work.insurance_enroll | sign me up for health insurance; how do i enroll in the {period} benefits plan; choose a medical plan; i want to join the company health plan
work.email_send | (write|send) an email to {person} (about {event}|); email {person} that i {task}; compose a mail to {person}; reply to {person}'s mail
work.email_check | do i have (new|any) mail; check my email; any emails from {person}; read my inbox; what did {person} write
talk.call | call {person}; (phone|ring) {person} (please|now); dial {person}'s number; i want to speak with {person} on the phone
talk.text | text {person} that i {task}; send a message to {person}; tell {person} i am late; message {person} about {event}
talk.find_phone | where is my phone; i can't find my phone; help me find my phone; make my phone ring so i can find it
talk.share_location | send my location to {person}; share where i am with {person}; let {person} know where i am; tell {person} my position
home.lights_on | turn on the (light|lights|lamp) in the {room}; it is dark in the {room}; lights on (please|); switch on the {room} lamp; make the {room} brighter
home.lights_off | turn off the (light|lights|lamp) in the {room}; lights out; switch off the {room} lamp; make it dark in the {room}; kill the lights
home.light_color | make the {room} lights {color}; change the lamp to {color}; i want {color} light in the {room}; set the color of the lights to {color}
home.heat_up | it's too cold in the {room}; turn up the (heat|heating|thermostat); set the temperature to {number} degrees; make it warmer in here
home.heat_down | it's too hot in the {room}; turn down the (heat|heating|thermostat); make it cooler; lower the temperature by {number} degrees
home.vacuum | (start|run) the vacuum (cleaner|); vacuum the {room}; have the robot clean the {room}; the floor in the {room} is dirty
home.coffee | make (me|) a coffee; start the coffee machine; i need a cup of coffee {day}; brew some coffee at {time}
home.lock | lock the (front|back|) door; is the door locked; make sure all doors are locked; close up the house
home.plug_on | turn on the {device}; switch the {device} on; power up the {device}; start the {device} please
home.plug_off | turn off the {device}; switch the {device} off; shut down the {device}; unplug the {device} please
media.play | play {song}; play something by {artist}; i want to hear {artist}; put on some {genre} music; start my {genre} playlist
media.next | (next|skip this) song; skip it; i don't like this one, play another; go to the next track
media.what_song | what song is this; who sings this; name of the song playing; what's the title of this track; which album is this from
media.like | i love this song, save it; add this song to my playlist; put {song} on my {genre} playlist; remember that i like this track
media.volume_up | (turn it up|louder); raise the volume (to {number}|); i can't hear it; volume up please; make it louder
media.volume_down | (turn it down|quieter); lower the volume (to {number}|); it's too loud; volume down please; not so loud
media.mute | mute (the sound|); be quiet; no sound please; turn the sound off; silence
media.radio | play {station} radio; tune to {station}; turn on the radio; i'd like to listen to {station}
media.podcast | play the (latest|next) episode of {podcast}; start the podcast {podcast}; continue {podcast}; find a podcast about {topic}
media.audiobook | read my audiobook; resume the audio book {book}; continue reading {book} to me; start chapter {number} of {book}
media.movie | recommend a (movie|film) about {topic}; what's playing at the cinema {day}; which movie should i watch; what films are showing near {place}
media.news | what's (new|in the news) (today|); news about {topic}; read me the headlines; what happened in {country}; latest on {topic}
info.weather | what's the weather (like|) (in {city}|) {day}; will it rain {day}; how (cold|hot|warm) will it be in {city}; do i need an umbrella {day}; forecast for {city}
info.define | what does {word} mean; define {word}; meaning of the word {word}; look up {word} in the dictionary
info.spell | how do you spell {word}; spell {word}; what's the correct spelling of {word}; is {word} written with two l
info.translate | how do i say {word} in {language}; translate {word} (to|into) {language}; what's {word} in {language}; the {language} word for {word}
info.math | what is {number} (times|plus|minus|divided by) {number}; calculate {number} percent of {number}; square root of {number}; add {number} and {number}
info.measure | how many {unit} are in {number} {unit}; convert {number} {unit} to {unit}; {number} {unit} in {unit}; what's {number} {unit} as {unit}
info.stock | what's the stock price of {company}; how is {company} trading; is {company} stock up; share price of {company}
info.fact | tell me something interesting; give me a fun fact; a fact about {topic}; teach me something i don't know about {topic}
info.joke | tell me a joke (about {topic}|); make me laugh; say something funny; do you know any jokes
info.distance_planet | tell me about {topic}; who was {artist}; what do you know about {topic}; give me information on {topic}
util.coin | flip a coin; heads or tails; toss a coin for me; let a coin decide
util.dice | roll a (die|dice); throw {number} dice; roll a {number} sided die; give me a roll
util.repeat | say that again; repeat (that|) please; what did you just say; i didn't catch that; come again
util.cancel | never mind; (cancel|forget) (it|that); stop; drop that request; no don't do it
util.yes | yes (please|); (sure|correct|that's right); go ahead; sounds good; yes do it
util.no | no (thanks|); (nope|wrong|not really); that is not right; i don't think so; definitely not
util.maybe | maybe; i am not sure; could be; perhaps yes perhaps no; i don't know yet
util.hello | (hi|hello|hey) (there|); good (morning|evening); what's up; nice to see you; how are you doing
util.bye | (bye|goodbye|see you) (later|); talk to you {day}; that's all, bye; good night; i am leaving now
util.thanks | thank you (so much|); thanks (a lot|for your help); i appreciate it; you have been helpful; that was great, thanks
util.name | what's your name; who are you; what should i call you; how are you called
util.change_name | call me {person}; my name is {person}, use it; change my name to {person}; from now on i am {person} to you
util.user_name | what's my name; who am i; what name do you have for me; do you know my name
util.human | are you a (human|robot|machine|real person); am i talking to a computer; is there a real person there; are you an ai
util.maker | who (made|built|programmed) you; which company do you come from; who is your creator; where were you developed
util.help | what can you do; how can you help me; what are you able to do; what can i ask you; list your abilities
util.language | (speak|talk|switch to) {language}; change the language to {language}; i'd like you to answer in {language}; set your language to {language}
util.speed | (talk|speak) (faster|slower); you speak too fast; slow down your speech; speed up the way you talk
util.accent | change your accent to {language}; use a {language} accent; can you sound more like a man; switch to another voice
shop.order_track | where is my (package|parcel|order); track my order from {shop}; when will the {goods} i ordered arrive; has my package shipped; delivery status of my {goods}
shop.return | i want to (return|send back) the {goods}; how do i give back {goods} to {shop}; return policy of {shop}; the {goods} does not fit, take it back
shop.refund | i want my money back for the {goods}; where is my refund from {shop}; {shop} has not refunded me; get a refund for {goods}
shop.buy | order {goods} from {shop}; buy {goods} for me; i'd like to purchase {goods}; get new {goods} at {shop}
shop.price | how much (is|are) the {goods} at {shop}; price of {goods}; cheapest {goods} at {shop}; what do {goods} cost
shop.hours | when does {shop} (open|close); is {shop} open on {day}; opening hours of {shop}; how late is {shop} open
shop.coupon | are there coupons for {shop}; any deals on {goods}; find a discount for {goods}; promo code for {shop}
`.trim();

/** Requests that belong to none of the intents, though they sound like the others. */
export const ELSEWHERE = `
who won the {team} game; what was the score of the {team} match; when do the {team} play next; is {artist} still married; how tall is {artist}; how old is {artist}
what is the capital of {country}; how many people live in {city}; who is the president of {country}; what language do they speak in {country}; how big is {country}
how do i remove a stain from my {goods}; what size shoe do i wear; how do i tie a tie; how often should i water {plant}; why are the leaves of my {plant} yellow; when should i plant {plant}
how do i train my (dog|cat) to sit; what is the best food for a puppy; how long do (cats|hamsters|parrots) live; why does my dog bark at night; my cat won't eat
how do i fix a (leaky faucet|squeaky door|hole in the wall); which paint is best for the {room}; how much does a new roof cost; how do i unclog a drain; what tools do i need to build a shelf
what are the symptoms of the flu; how do i get rid of a headache; how much sleep does a baby need; is it bad to crack your knuckles; what exercises help my back; how do i lose weight fast
how do i delete my (facebook|twitter|instagram) account; who follows me on twitter; post a picture of {place}; how many likes did my photo get; upload my video
why is my computer so slow; how do i install a new printer; what's the wifi password; my screen is frozen; how much memory does my laptop have; update the operating system
what major should i study; how do i write a cover letter; find me a job in {city}; what does a plumber earn on average; how do i ask for a raise; help me with my resume
explain how a (bill becomes law|volcano erupts|battery works); why is the sky {color}; who invented the {device}; when did the war in {country} end; what is the speed of light; how deep is the ocean
how do i get a divorce; what are my rights as a tenant; how do i register to vote; do i need a permit for a gun; where can i get married in {city}; what is the drinking age in {country}
write me a poem about {topic}; sing a song; what's the meaning of life; do you believe in ghosts; what is your favorite {color}; tell me a bedtime story
how many fans fit in the {team} stadium; what team does {artist} root for; best way to learn the guitar; how do i get better at chess; rules of poker; what are the odds for the {team}
how do i (knit|sew|paint) a {goods}; where do i sell my old {goods}; what is my {goods} worth; how do i clean my {device}; is my {device} still under warranty
what gift should i get for {person}; when is {person}'s birthday; what did {person} study; how are {person} and {artist} related; does {person} like me
how do i start a business; what stocks should i buy; how do i raise money for a charity; should i rent or buy a house; what is bitcoin; how do mortgages work
`.trim();

export const SLOTS: Record<string, string[]> = {
  account: ['checking', 'savings', 'my checking account', 'savings account', 'my business account', 'the joint account', 'my main account'],
  amount: ['50 dollars', '$200', '1000 dollars', 'twenty bucks', '$15', 'three hundred', '75 euros', 'five thousand dollars', '12.50'],
  bill: [
    'electric',
    'water',
    'phone',
    'cable',
    'internet',
    'gas',
    'credit card',
    'visa',
    'rent',
    'mortgage',
    'student loan',
    'car loan',
    'insurance',
  ],
  goods: [
    'shoes',
    'groceries',
    'a laptop',
    'headphones',
    'a jacket',
    'clothes',
    'books',
    'a blender',
    'toys',
    'a phone case',
    'shampoo',
    'perfume',
    'a tent',
    'a lamp',
    'a dress',
    'a camera',
  ],
  period: [
    'last month',
    'this week',
    'yesterday',
    'this year',
    'since monday',
    'in january',
    'last week',
    'in the past two months',
    'over the weekend',
  ],
  bank: ['chase', 'wells fargo', 'my credit union', 'bank of america', 'capital one', 'amex', 'discover', 'us bank'],
  shop: ['target', 'walmart', 'amazon', 'the mall', 'best buy', 'ikea', 'the pharmacy', 'costco', 'starbucks', 'the corner store'],
  city: [
    'paris',
    'new york',
    'london',
    'tokyo',
    'denver',
    'chicago',
    'berlin',
    'los angeles',
    'madrid',
    'seattle',
    'rome',
    'toronto',
    'san diego',
    'miami',
    'oslo',
  ],
  country: ['france', 'japan', 'brazil', 'egypt', 'mexico', 'germany', 'india', 'south africa', 'peru', 'china', 'kenya', 'thailand'],
  airline: ['delta', 'united', 'southwest', 'lufthansa', 'jetblue', 'american airlines', 'ryanair'],
  code: ['ua 231', 'dl12', 'the 4 pm', 'lh 455', 'aa 90', 'number 1123'],
  place: [
    'the airport',
    'work',
    'home',
    'the library',
    'downtown',
    'central park',
    'the nearest hospital',
    'the museum',
    'my sister',
    'main street',
    'the stadium',
    'the beach',
    'school',
  ],
  hotel: ['hilton', 'marriott', 'holiday inn', 'ritz'],
  number: ['2', '3', 'four', '5', 'six', '10', '12', '15', 'twenty', '30', '45', 'a dozen', '100'],
  day: [
    'today',
    'tomorrow',
    'on friday',
    'monday',
    'next week',
    'on the 5th',
    'march 3rd',
    'this weekend',
    'tonight',
    'next tuesday',
    'sunday',
  ],
  time: ['7 am', '8:30', 'noon', '6 pm', 'half past nine', '10 tonight', 'five', '5:15 in the morning', 'midnight'],
  currency: ['dollars', 'euros', 'yen', 'pounds', 'pesos', 'rubles', 'francs', 'rupees'],
  person: ['mom', 'john', 'my boss', 'sarah', 'dad', 'my wife', 'mike', 'grandma', 'dr lee', 'anna', 'my brother', 'the landlord'],
  thing: ['theft', 'a broken windshield', 'rental cars', 'an accident', 'hail damage'],
  dish: [
    'lasagna',
    'chicken soup',
    'pizza',
    'tacos',
    'sushi',
    'apple pie',
    'pancakes',
    'curry',
    'chili',
    'meatloaf',
    'fried rice',
    'burgers',
    'chocolate cake',
  ],
  food: [
    'milk',
    'eggs',
    'rice',
    'chicken',
    'butter',
    'bananas',
    'bread',
    'sugar',
    'cheese',
    'potatoes',
    'pasta',
    'an apple',
    'steak',
    'onions',
    'vanilla',
    'yogurt',
  ],
  cuisine: ['italian', 'thai', 'mexican', 'chinese', 'vegan', 'indian', 'greek'],
  restaurant: [
    'olive garden',
    'the red lobster',
    'applebees',
    'luigis',
    'the steakhouse',
    'mcdonalds',
    'the sushi bar',
    'panda house',
    'carraba',
  ],
  task: [
    'do the laundry',
    'call the dentist',
    'mow the lawn',
    'pick up the kids',
    'clean the garage',
    'water the plants',
    'pay the rent',
    'buy milk',
    'walk the dog',
    'finish the report',
    'take out the trash',
  ],
  event: [
    'a dentist appointment',
    'the party',
    'lunch with anna',
    'a doctor visit',
    'the wedding',
    'soccer practice',
    'the budget',
    'the conference',
    'yoga class',
    'the project',
  ],
  holiday: ['christmas', 'easter', 'thanksgiving', 'labor day', 'memorial day', 'new year', 'halloween'],
  room: ['kitchen', 'bedroom', 'living room', 'bathroom', 'garage', 'hallway', 'office', 'basement'],
  color: ['blue', 'red', 'green', 'warm white', 'purple', 'yellow', 'orange'],
  device: ['tv', 'fan', 'heater', 'dishwasher', 'microwave', 'washing machine', 'air conditioner', 'oven', 'computer', 'sprinkler'],
  song: ['yellow submarine', 'hotel california', 'some beatles', 'bohemian rhapsody', 'hey jude', 'my favorite song', 'thriller'],
  artist: [
    'the beatles',
    'taylor swift',
    'mozart',
    'beyonce',
    'drake',
    'tom hanks',
    'queen',
    'adele',
    'michael jackson',
    'abraham lincoln',
  ],
  genre: ['jazz', 'rock', 'classical', 'workout', 'country', 'hip hop', 'chill', 'party'],
  station: ['npr', '101.5', 'bbc', 'the jazz station', 'kiss fm', 'classic rock'],
  podcast: ['serial', 'the daily', 'radiolab', 'this american life', 'planet money'],
  book: ['harry potter', 'dune', 'the hobbit', 'war and peace', 'the bible'],
  topic: [
    'space',
    'the election',
    'dogs',
    'history',
    'climate change',
    'football',
    'dinosaurs',
    'robots',
    'the economy',
    'love',
    'cooking',
    'elephants',
  ],
  word: [
    'hello',
    'beautiful',
    'goodbye',
    'necessary',
    'house',
    'cheese',
    'millennium',
    'please',
    'entropy',
    'thank you',
    'rhythm',
    'ambiguous',
  ],
  language: ['spanish', 'french', 'german', 'english', 'japanese', 'chinese', 'italian', 'british', 'russian'],
  unit: ['cups', 'miles', 'kilometers', 'ounces', 'pounds', 'liters', 'feet', 'inches', 'grams', 'gallons', 'teaspoons'],
  company: ['apple', 'tesla', 'google', 'ford', 'amazon', 'microsoft', 'netflix', 'disney'],
  team: ['lakers', 'yankees', 'patriots', 'bulls', 'dodgers', 'cowboys', 'red sox', 'broncos'],
  plant: ['roses', 'tomatoes', 'tulips', 'a cactus', 'basil', 'my orchid'],
};

/** What people put before and after; most of the time nothing. */
export const BEFORE = `please; can you; could you please; hey; i was wondering, ; i would like to know; tell me; ok so; um; quick question: ; i need help: ; hello, ; do you know; would you; can you tell me; i'm trying to find out; let me know; so; well; alright`;
export const AFTER = `please; thanks; for me; right now; if you can; asap; thank you; when you have a moment; i forgot; or not; again; real quick`;

/** Words that people use for each other. */
export const SYNONYMS = `
want need would-like wish; show display pull-up give-me bring-up; change update modify switch alter; find locate look-up search-for get; how-much what; buy get purchase pick-up; book reserve arrange; start begin turn-on launch;
cancel call-off drop scrap; money cash funds; make create prepare fix; tell let-me-know inform; check see verify look-at; big large; good nice great decent; call phone ring; send shoot forward; set put configure; delete remove erase get-rid-of;
account acct; card plastic; trip journey vacation; car vehicle auto; flight plane-ticket; hotel room inn; restaurant diner place; song track tune; movie film; meeting appointment; job work; bill invoice statement; price cost; store shop;
new another different; left remaining; arrive come get-here show-up; stop quit end; talk speak; fast quick; right correct; list lists; kind type sort; lost misplaced missing; damaged ruined busted; raise increase boost; lower reduce decrease;
recent latest; recommend suggest; food meal; kids children; house home; phone cell mobile; tv television; message text note; email mail; best top; cheapest least-expensive; currently now presently; long much-time
`;
